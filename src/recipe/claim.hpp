// A claim: one sequential znode that is ours, created exactly once through any number of lost
// replies, and taken away again whatever happens to its owner.
//
// The request that creates it also checks the version of its parent. So a request whose answer was
// lost can be made void: once the parent has another version, it cannot be executed any more, and
// what a listing does not show then is not there and never will be (fate: presence is proof,
// absence behind a fence is proof, too). Where the parent may not be written, there is no fence;
// then every later listing looks for surplus znodes of this claim.
#pragma once

#include <coati/client.hpp>

#include <boost/asio/awaitable.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace coati::detail {

/// What is claimed.
class claim_spec {
public:
    claim_spec(std::string where, std::string prefix, create_mode how)
        : directory(std::move(where)), name(std::move(prefix)), mode(how)
    {
    }

    std::string directory;  // created if it is missing, as are its parents
    std::string name;       // what the server puts its number behind: "lock-"
    create_mode mode;       // one of the sequential ones
    coati::data bytes{};
    std::optional<acls> who{};
    std::int32_t version = 0;  // of the directory, as far as known; wrong: two more requests
};

/// A claim while it is made, held and given up. Move-only: the one who has it owns the znode. When
/// it is dropped before it was settled, an errand removes what there may be.
class claim {
public:
    /// Ephemeral ones want a handle that is pinned to a session. A persistent one through a handle
    /// that is not is made certain of in the next session, if it must be.
    claim(client of, claim_spec what);
    claim(claim&& other) noexcept;
    claim& operator=(claim&&) = delete;
    ~claim();

    const claim_spec& spec() const noexcept { return spec_; }
    /// The handle, without limits of time.
    const client& through() const noexcept { return zk_; }
    const std::string& guid() const noexcept { return guid_; }
    /// Of the znode; empty before it is made.
    const std::string& path() const noexcept { return path_; }
    /// Its last component.
    std::string_view name() const noexcept;
    /// Of the znode.
    std::int64_t czxid() const noexcept { return czxid_; }
    /// What the server appended.
    std::int32_t number() const noexcept;
    /// Of the directory, as it was found last.
    std::int32_t directory_version() const noexcept { return version_; }
    /// Another request may have made a second one, and no fence could be set.
    bool may_have_twins() const noexcept { return unfenced_; }

    /// Makes the znode. The claim outlives the coroutine. Completes with: what `create` does; never
    /// with an error that leaves it open, but for cancelled and the ending of the session.
    boost::asio::awaitable<result<void>> make();
    /// Removes the znode. Success as well when it was gone. The claim outlives the coroutine.
    boost::asio::awaitable<result<void>> give_up();
    /// The znode stays, or is none of ours any more: nothing is to be removed.
    void forget() noexcept { is_open_ = false; }

private:
    boost::asio::awaitable<result<bool>> settle();
    boost::asio::awaitable<result<bool>> settle_in_any_session(error doubt);
    boost::asio::awaitable<result<void>> raise_fence();
    boost::asio::awaitable<result<void>> make_directory();
    boost::asio::awaitable<result<void>> take_version();
    void take(std::string path, std::int64_t czxid);

    client zk_;
    claim_spec spec_;
    std::string guid_;
    std::string path_;
    std::int64_t czxid_ = 0;
    std::int32_t version_ = 0;  // of the directory, as the next request checks it
    bool is_open_ = false;      // there may be a znode
    bool in_doubt_ = false;     // a request may still be on its way
    bool unfenced_ = false;
    bool is_last_ = false;  // an errand has it: what that cannot do, nobody can
};

/// Removes a znode: again until it is certain that it is gone. Success as well when there was none.
boost::asio::awaitable<result<void>> remove_surely(client zk, std::string path);

/// `/dir/_c_<guid>-name`, as `create_protected` has it.
std::string protected_path(const std::string& parent, std::string_view guid, std::string_view name);

/// "/a" and "b" as "/a/b", "/" and "b" as "/b".
std::string child_path(const std::string& parent, std::string_view name);

}  // namespace coati::detail
