// Owns coati::stat, what the ensemble keeps about a znode beside its data. Public vocabulary:
// nothing but numbers and their order on the wire (68 bytes).

#pragma once

#include <coati/wire/fields.hpp>

#include <cstdint>

namespace coati {

/// What the ensemble keeps about a znode beside its data.
struct stat {
    /// The zxid of the transaction that created the znode. `version` restarts at 0 when a znode is
    /// deleted and created again, so only `czxid` and `version` together name a state.
    std::int64_t czxid = 0;

    /// The zxid of the last change of the data (the creation counts).
    std::int64_t mzxid = 0;

    /// When the znode was created: milliseconds since the epoch by the clock of the leader of that
    /// time. Not comparable with the clock of this machine.
    std::int64_t ctime = 0;

    /// When the data were last changed; the same clock as `ctime`.
    std::int64_t mtime = 0;

    /// How often the data were set: 0 after creation, plus one for each set, wrapping as an int32.
    /// It is -1 for `/zookeeper/config`.
    std::int32_t version = 0;

    /// How many children came and went. The server *derives* it (twice the creations minus the
    /// children there are): it is not the counter from which sequential znodes get their numbers,
    /// and no such number can be predicted from it.
    std::int32_t cversion = 0;

    /// How often the ACL was set. The version that set_acl compares with.
    std::int32_t aversion = 0;

    /// The id of the session that owns an ephemeral znode, 0 for every other znode: containers and
    /// TTL znodes have 0 as well. Session ids may be negative.
    std::int64_t ephemeral_owner = 0;

    /// Bytes of data: 0 for null data and for empty data.
    std::int32_t data_length = 0;

    /// Direct children.
    std::int32_t num_children = 0;

    /// The zxid of the last creation or deletion of a child.
    std::int64_t pzxid = 0;

    friend bool operator==(const stat&, const stat&) = default;

    /// The order on the wire; for the library itself.
    using wire_fields =
        wire::fields<&stat::czxid, &stat::mzxid, &stat::ctime, &stat::mtime, &stat::version,
                     &stat::cversion, &stat::aversion, &stat::ephemeral_owner, &stat::data_length,
                     &stat::num_children, &stat::pzxid>;
};

}  // namespace coati
