// A FIFO over one block of memory, indexed from its front: no allocation in steady state, which
// std::deque (a block every few pushes) does not give.
#pragma once

#include <cassert>
#include <cstddef>
#include <type_traits>
#include <utility>
#include <vector>

namespace coati::protocol {

template <class T>
class ring {
    static_assert(std::is_trivially_copyable_v<T>, "slots are moved by plain copies");

public:
    std::size_t size() const noexcept { return size_; }
    bool empty() const noexcept { return size_ == 0; }

    T& operator[](std::size_t i) noexcept
    {
        assert(i < size_);
        return slots_[(front_ + i) & (slots_.size() - 1)];
    }
    const T& operator[](std::size_t i) const noexcept
    {
        assert(i < size_);
        return slots_[(front_ + i) & (slots_.size() - 1)];
    }
    T& front() noexcept { return (*this)[0]; }

    void push_back(const T& value)
    {
        if (size_ == slots_.size()) {
            grow();
        }
        slots_[(front_ + size_) & (slots_.size() - 1)] = value;
        ++size_;
    }
    void pop_front() noexcept
    {
        assert(size_ > 0);
        front_ = (front_ + 1) & (slots_.size() - 1);
        --size_;
    }

private:
    void grow()
    {
        std::vector<T> larger(slots_.empty() ? 16 : slots_.size() * 2);
        for (std::size_t i = 0; i < size_; ++i) {
            larger[i] = (*this)[i];
        }
        slots_ = std::move(larger);
        front_ = 0;
    }

    std::vector<T> slots_;  // its size is a power of two
    std::size_t front_ = 0;
    std::size_t size_ = 0;
};

}  // namespace coati::protocol
