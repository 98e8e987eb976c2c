// A lock around something that is not in ZooKeeper. Who has lost it is told to stop; and whoever
// has not heard of that yet is refused by what the lock guards.

#include "support.hpp"

namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;

/// What the lock guards. It remembers the highest fence that it has seen, and refuses lower ones.
struct report_store {
    bool write(std::int64_t fence, std::string_view text)
    {
        if (fence < highest) {
            return false;
        }
        highest = fence;
        std::cout << text << '\n';
        return true;
    }
    std::int64_t highest = 0;
} store;
std::optional<coati::lock_scope> early;  // the first holder's

asio::awaitable<coati::result<void>> write_for_ever(coati::lock_scope scope)
{
    early = scope;
    example::expect(store.write(scope.fence(), "half a report"), "the holder may write");
    BOOST_OUTCOME_CO_TRY(co_await scope.guarded().create("/draft"));
    BOOST_OUTCOME_CO_TRY(co_await scope.zk().remove(scope.path()));  // somebody breaks the lock
    auto told = co_await scope.zk().sleep_for(24h);        // cancelled: the body is to stop
    co_await asio::this_coro::reset_cancellation_state();  // now it may await again: the margin
    auto done = co_await scope.zk().sleep_for(1ms);        // is for cleaning up
    co_return done ? told : done;
}

asio::awaitable<coati::result<void>> write_report(coati::lock_scope scope)
{
    example::expect(store.write(scope.fence(), "a report"), "fences grow");
    co_return co_await scope.guarded().remove("/draft");
}

asio::awaitable<coati::result<void>> app(coati::client zk)
{
    auto lost = co_await coati::with_lock(zk, "/locks/report", write_for_ever);
    example::expect(!lost && lost.error() == coati::errc::lock_lost, "the caller is told why");
    BOOST_OUTCOME_CO_TRY(co_await coati::with_lock(zk, "/locks/report", write_report));
    example::expect(!store.write(early->fence(), "too late"), "the store refuses an old fence");
    auto late = co_await early->guarded().create("/draft");
    example::expect(!late && late.error() == coati::errc::lock_lost, "so does ZooKeeper");
    co_return coati::success();
}

}  // namespace

int main()
{
    return example::run(app);
}
