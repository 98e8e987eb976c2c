// The part of the engine that templates see: memory for parked operations, and exceptions on their
// way out.

#include <coati/detail/engine_base.hpp>

#include <boost/asio/post.hpp>

#include <new>
#include <utility>

namespace coati::detail {

block_pool::~block_pool()
{
    for (free_block* list : free_) {
        while (list != nullptr) {
            ::operator delete(std::exchange(list, list->next));
        }
    }
}

void* block_pool::allocate(std::size_t size)
{
    const std::size_t index = (size - 1) / step;
    if (index >= classes) {
        return ::operator new(size);
    }
    if (free_[index] == nullptr) {
        return ::operator new((index + 1) * step);
    }
    return std::exchange(free_[index], free_[index]->next);
}

void block_pool::deallocate(void* block, std::size_t size) noexcept
{
    const std::size_t index = (size - 1) / step;
    if (index >= classes) {
        ::operator delete(block);
        return;
    }
    free_[index] = new (block) free_block{free_[index]};
}

void engine_base::rethrow_later(std::exception_ptr what) const
{
    boost::asio::post(executor_, [what = std::move(what)] { std::rethrow_exception(what); });
}

}  // namespace coati::detail
