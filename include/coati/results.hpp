// What the operations of coati::client answer with. Plain values; each is one reply, decoded.
//
// A zxid in a result is the server's last one when it answered (of a write: the write's own), so
// that what was read from different servers can be compared.
#pragma once

#include <coati/acl.hpp>
#include <coati/ensemble_config.hpp>
#include <coati/stat.hpp>
#include <coati/watch.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace coati {

/// A znode's data and stat. Zxids let readers on other servers be compared.
struct get_result {
    std::string data;       ///< The bytes; none of null data.
    coati::stat stat;       ///< Of the moment when they were read.
    std::int64_t zxid = 0;  ///< The server's last zxid when it answered.
    bool is_null = false;   ///< The znode has no data at all, which is not empty data.
};

/// The children of a znode.
struct children_result {
    std::vector<std::string> names;  ///< Last components, in no order.
    coati::stat stat;                ///< Of the parent.
    std::int64_t zxid = 0;           ///< The server's last zxid when it answered.
};

/// What `create` gives.
struct created {
    std::string path;       ///< As the server named it, relative to the handle's chroot.
    std::int64_t zxid = 0;  ///< Of the creation.
};

/// What `create_with_stat` and `create_with_ttl` give.
struct created_with_stat {
    std::string path;       ///< As the server named it, relative to the handle's chroot.
    coati::stat stat;       ///< Of the new znode.
    std::int64_t zxid = 0;  ///< Of the creation.
};

/// Who may do what with a znode. Without the permission `admin` the server shows digests as
/// `user:x`.
struct acl_result {
    std::vector<acl> entries;  ///< In the order of the server.
    coati::stat stat;          ///< `aversion` is what `set_acl` compares with.
    std::int64_t zxid = 0;     ///< The server's last zxid when it answered.
};

/// One of the identities that a server knows a connection by: its address, what it authenticated
/// as.
struct identity {
    std::string scheme;  ///< "ip", "digest", "x509", "sasl" ...
    std::string user;    ///< Of a digest the user alone.

    friend bool operator==(const identity&, const identity&) = default;
};

/// How many znodes there are below one.
struct descendants {
    std::int32_t count = 0;  ///< At any depth, itself not counted.
    /// The server does not know the operation (before 3.6), so its tree was walked, by as many
    /// requests as there are znodes: what others created or removed meanwhile may be counted or
    /// not. Otherwise the server has counted them in one go.
    bool is_emulated = false;
};

/// The ensemble's configuration, as `get_config` and `reconfig` answer it.
struct config_result {
    std::string text;       ///< Every line as the server keeps it; empty on a standalone server.
    coati::stat stat;       ///< Of `/zookeeper/config`; its version is -1.
    std::int64_t zxid = 0;  ///< The server's last zxid when it answered.

    /// The text, understood. Completes with: invalid_config, when a line is malformed: the text is
    /// still here, and `explain_ensemble_config_error` says what is wrong with it.
    result<ensemble_config> parse() const { return ensemble_config::parse(text); }
};

/// Data and stat, and the watch that was set by the same read.
struct watched_data {
    std::string data;       ///< The bytes; none of null data.
    coati::stat stat;       ///< Of the moment when they were read.
    std::int64_t zxid = 0;  ///< The server's last zxid when it answered.
    bool is_null = false;   ///< The znode has no data at all, which is not empty data.
    coati::watch watch;     ///< Fires at the next change of the data, or the removal.
};

/// Whether a znode is there, and the watch that was set by the same read.
struct watched_existence {
    std::optional<coati::stat> stat;  ///< Empty: the znode does not exist, its creation will fire.
    std::int64_t zxid = 0;            ///< The server's last zxid when it answered.
    coati::watch watch;               ///< Fires at its creation, or change, or removal.
};

/// The children of a znode, and the watch that was set by the same read.
struct watched_children {
    std::vector<std::string> names;  ///< Last components, in no order.
    coati::stat stat;                ///< Of the parent.
    std::int64_t zxid = 0;           ///< The server's last zxid when it answered.
    coati::watch watch;              ///< Fires when a child comes or goes, or the znode goes.
};

/// The ensemble's configuration, and the watch that was set by the same read.
struct watched_config {
    config_result config;  ///< As it was read.
    coati::watch watch;    ///< Its event names "/zookeeper/config", whatever the handle's chroot.
};

}  // namespace coati
