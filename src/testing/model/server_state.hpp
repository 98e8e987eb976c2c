// What the servers of an ensemble agree on: a tree, and the number of the last transaction.
//
// Every replica applies the same transactions in the same order and is the same then; `apply` reads
// nothing but its arguments. Sessions and their ends come in as transactions too. Who may send one,
// and when, is not known here.
#pragma once

#include "rules.hpp"
#include "znode_tree.hpp"

#include <coati/errc.hpp>
#include <coati/wire/op_code.hpp>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace coati::testing {

/// A code as it goes over the wire.
constexpr std::int32_t number(errc code) noexcept
{
    return static_cast<std::int32_t>(code);
}

/// A request to change something, once it has its number and its time.
struct transaction {
    /// An operation that changes znodes; `create_session` and `close_session`, which have no body;
    /// `delete_container`, whose body is a path.
    wire::op_code op = wire::op_code::create_session;
    std::string body{};
    std::int64_t session = 0;
    std::vector<identity> who{};
    std::int64_t zxid = 0;
    std::int64_t now_ms = 0;
};

/// What came of it.
struct outcome {
    std::int32_t err = 0;
    std::string body{};             // of the reply, behind its header
    std::vector<change> changes{};  // in their order
    bool is_silent = false;         // nobody is told
};

/// What the testing kit itself changes in a tree, past all permissions.
const std::vector<identity>& superuser();

class server_state {
public:
    explicit server_state(rules r) : rules_(std::move(r)) {}

    outcome apply(const transaction& t);

    const rules& settings() const noexcept { return rules_; }
    const znode_tree& tree() const noexcept { return tree_; }
    std::int64_t zxid() const noexcept { return zxid_; }
    /// Alone, it has no configuration to number.
    void set_standalone(bool yes) { tree_.set_config_version(yes ? 0 : -1); }
    void set_zxid(std::int64_t zxid) noexcept { zxid_ = zxid; }

private:
    rules rules_;
    znode_tree tree_;
    std::int64_t zxid_ = 0;
};

/// Whether the body of one that every server has to know of is complete. What is in a multi is not
/// looked at.
bool is_readable(wire::op_code op, std::string_view body);

/// Whether an operation is a transaction, so that every server has to know of it.
bool is_transaction(wire::op_code op);

/// Whether these parts could be those of a multi: writes, complete, in the form that is expected.
bool is_multi_of_writes(std::string_view body, const rules& has);

/// Whether a create (also as a part of a multi) would make an ephemeral: what a local session may
/// not have.
bool makes_ephemeral(wire::op_code op, std::string_view body);

}  // namespace coati::testing
