// One reader at a time: the turn of the one who waits, for objects that several could read.
#pragma once

#include <memory>
#include <utility>

namespace coati::detail {

/// While it lives, `State::is_waited_for` is true. Whoever finds it true is a reader too many:
/// already_waiting.
template <class State>
class one_reader {
public:
    explicit one_reader(std::shared_ptr<State> of) : of_(std::move(of))
    {
        of_->is_waited_for = true;
    }
    one_reader(const one_reader&) = delete;
    one_reader& operator=(const one_reader&) = delete;
    ~one_reader() { of_->is_waited_for = false; }

private:
    std::shared_ptr<State> of_;
};

}  // namespace coati::detail
