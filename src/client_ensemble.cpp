// Following the ensemble's own configuration: read and watch it, ask its members where they are
// said to be, and give the engine those that answered.

#include "client_composed.hpp"
#include "four_letters.hpp"

#include <coati/protocol/members.hpp>

#include <boost/asio/experimental/parallel_group.hpp>

#include <algorithm>
#include <chrono>
#include <exception>
#include <utility>

namespace coati {

namespace detail {

namespace {

// Between two questions to members that do not answer (yet).
constexpr duration first_ask_pause = std::chrono::seconds(1);
constexpr duration longest_ask_pause = std::chrono::minutes(1);

/// A member of the configuration, and what became of asking for it.
class followed_member {
public:
    followed_member() = default;
    explicit followed_member(std::vector<server_address> where) : places(std::move(where)) {}

    std::vector<server_address> places;   // to ask at
    std::optional<better_server> answer;  // from the first that did
};

/// One follow_ensemble a client.
class only_follower {
public:
    explicit only_follower(engine& of) : core_(of) {}
    only_follower(const only_follower&) = delete;
    only_follower& operator=(const only_follower&) = delete;
    ~only_follower() { core_.set_following(false); }

private:
    engine& core_;
};

/// Those that can be asked for; what answered before at the same places need not do so again.
std::vector<followed_member> members_of(const ensemble_config& said,
                                        const std::vector<server_address>& configured,
                                        const std::vector<followed_member>& before)
{
    std::vector<followed_member> members;
    for (const ensemble_member& each : said.members) {
        followed_member member(protocol::client_addresses(each, configured));
        const auto same = std::find_if(before.begin(), before.end(), [&](const followed_member& m) {
            return m.places == member.places;
        });
        if (same != before.end()) {
            member.answer = same->answer;
        }
        if (!member.places.empty()) {
            members.push_back(std::move(member));
        }
    }
    return members;
}

/// A member that answers where a configured server is goes by that name, which may be the one that
/// is in its certificate, and has the zone.
asio::awaitable<std::optional<server_address>> configured_name(std::shared_ptr<engine> core,
                                                               endpoint where)
{
    const std::vector<server_address> configured = core->settings().servers;
    for (const server_address& each : configured) {
        auto look = look_up(core->world_ptr(), each, core->attempt_budget());
        const std::vector<endpoint> found = co_await std::move(look);
        if (found.size() == 1 && found[0].address == where.address && found[0].port == where.port) {
            co_return each;
        }
    }
    co_return std::nullopt;
}

/// Asks at its places, one after another.
asio::awaitable<followed_member> ask_for(std::shared_ptr<engine> core, followed_member member)
{
    for (const server_address& place : member.places) {
        if (member.answer) {
            break;
        }
        auto look = look_at(core->world_ptr(), place, core->attempt_budget());
        sighting seen = co_await std::move(look);
        if (seen.where) {
            auto naming = configured_name(core, *seen.where);
            const std::optional<server_address> known = co_await std::move(naming);
            member.answer.emplace(known.value_or(place), *seen.where);
        }
    }
    co_return std::move(member);
}

/// Beside each other, since an address that leads nowhere takes its time.
asio::awaitable<std::vector<followed_member>> ask_for_all(std::shared_ptr<engine> core,
                                                          std::vector<followed_member> members)
{
    if (members.empty()) {
        co_return std::move(members);
    }
    const asio::any_io_executor ex = core->executor();
    using question = decltype(asio::co_spawn(ex, ask_for(core, members[0]), asio::deferred));
    std::vector<question> all;
    all.reserve(members.size());
    for (const followed_member& each : members) {
        all.push_back(asio::co_spawn(ex, ask_for(core, each), asio::deferred));
    }
    auto group = asio::experimental::make_parallel_group(std::move(all));
    auto done = co_await group.async_wait(asio::experimental::wait_for_all(), asio::deferred);
    for (const std::exception_ptr& failed : std::get<1>(done)) {
        if (failed) {
            std::rethrow_exception(failed);  // cancelled between two steps
        }
    }
    co_return std::get<2>(std::move(done));
}

/// True: everybody has answered.
bool adopt(engine& core, const std::vector<followed_member>& members, std::int64_t version)
{
    std::vector<better_server> answered;
    for (const followed_member& each : members) {
        if (each.answer) {
            answered.push_back(*each.answer);
        }
    }
    const bool is_complete = answered.size() == members.size();
    core.adopt_members(std::move(answered), version);
    return is_complete;
}

asio::awaitable<result<void>> follow_members(client of)
{
    const auto core = std::static_pointer_cast<engine>(of.scope()->core);
    if (!core->set_following(true)) {
        co_return error(errc::already_waiting, fate::not_sent);
    }
    const only_follower mine(*core);
    const client zk = of.with(options());
    std::vector<followed_member> members;
    for (;;) {
        auto reading = zk.get_config_and_watch();
        result<watched_config> read = co_await std::move(reading);
        if (!read) {
            co_return read.error();
        }
        const auto said = ensemble_config::parse(read->config.text);
        const ensemble_config wanted = said ? *said : ensemble_config();
        members = members_of(wanted, core->settings().servers, members);
        bool has_changed = false;
        for (duration pause = first_ask_pause; !has_changed;
             pause = std::min(pause * 2, longest_ask_pause)) {
            auto asking = ask_for_all(core, std::move(members));
            members = co_await std::move(asking);
            const bool is_complete = adopt(*core, members, wanted.version.value_or(0));
            auto change = read->watch.next();
            auto wait = is_complete ? std::move(change) : zk.within(pause, std::move(change));
            const result<event> told = co_await std::move(wait);
            if (!told && told.error() != errc::timed_out) {
                co_return told.error();
            }
            has_changed = told.has_value();
        }
    }
}

}  // namespace

}  // namespace detail

operation<void> client::follow_ensemble() const
{
    return compose<void>(*this, errc{0}, &detail::follow_members);
}

}  // namespace coati
