// The operations of a multi, as values: `zk.multi(op::check("/a", 3), op::create("/b", "x"))`; and
// of a multi_read: `zk.multi_read(op::get("/a"), op::children("/b"))`.
#pragma once

#include <coati/acl.hpp>
#include <coati/create_mode.hpp>
#include <coati/data.hpp>
#include <coati/errc.hpp>
#include <coati/result.hpp>
#include <coati/results.hpp>
#include <coati/stat.hpp>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

namespace coati {

namespace detail {
struct scope;
}

/// What `op::create_with_stat` and `op::create_with_ttl` give.
struct created_in_multi {
    std::string path;  ///< As the server named it, relative to the handle's chroot.
    /// Empty: a server before 3.9 answers such a create inside a multi without it (ZOOKEEPER-4026).
    std::optional<coati::stat> stat;

    friend bool operator==(const created_in_multi&, const created_in_multi&) = default;
};

/// What one operation of a run-time multi gave: nothing (check, remove), the path (create), the
/// stat (set), path and stat (create_with_stat, create_with_ttl).
using any_op_result = std::variant<std::monostate, std::string, stat, created_in_multi>;

/// What one operation of a run-time multi_read gave: data and stat (get), names (children).
using any_read_result = std::variant<get_result, std::vector<std::string>>;

namespace op {

/// Creates a znode. Gives its path, which the server completes for sequential modes.
class create {
public:
    /// What it gives in a multi that succeeds.
    using result = std::string;

    /// As `client::create`.
    explicit create(std::string path, coati::data bytes = {},
                    create_mode mode = create_mode::persistent, std::optional<acls> who = {})
        : path_(std::move(path)), data_(std::move(bytes)), mode_(mode), acls_(std::move(who))
    {
    }

    /// Appends this operation to a multi's body. Returns errc{0}, or what is wrong with the
    /// arguments.
    errc append_to(std::string& body, const detail::scope& s) const;

private:
    std::string path_;
    coati::data data_;
    create_mode mode_;
    std::optional<acls> acls_;
};

/// Creates a znode and gives its stat too, where the server tells it.
class create_with_stat {
public:
    /// What it gives in a multi that succeeds.
    using result = created_in_multi;

    /// As `client::create_with_stat`.
    explicit create_with_stat(std::string path, coati::data bytes = {},
                              create_mode mode = create_mode::persistent,
                              std::optional<acls> who = {})
        : path_(std::move(path)), data_(std::move(bytes)), mode_(mode), acls_(std::move(who))
    {
    }
    /// As `create::append_to`.
    errc append_to(std::string& body, const detail::scope& s) const;

private:
    std::string path_;
    coati::data data_;
    create_mode mode_;
    std::optional<acls> acls_;
};

/// Creates a znode that the server deletes when it is childless and unchanged for `ttl`.
class create_with_ttl {
public:
    /// What it gives in a multi that succeeds.
    using result = created_in_multi;

    /// As `client::create_with_ttl`; `mode` is persistent or persistent_sequential.
    explicit create_with_ttl(std::string path, coati::data bytes, std::chrono::milliseconds ttl,
                             create_mode mode = create_mode::persistent,
                             std::optional<acls> who = {})
        : path_(std::move(path)), data_(std::move(bytes)), ttl_(ttl), mode_(mode),
          acls_(std::move(who))
    {
    }
    /// As `create::append_to`.
    errc append_to(std::string& body, const detail::scope& s) const;

private:
    std::string path_;
    coati::data data_;
    std::chrono::milliseconds ttl_;
    create_mode mode_;
    std::optional<acls> acls_;
};

/// Sets the data of a znode, if its version is the expected one. Gives the new stat.
class set {
public:
    /// What it gives in a multi that succeeds.
    using result = stat;

    /// As `client::set`.
    explicit set(std::string path, coati::data bytes,
                 std::optional<std::int32_t> expected_version = {})
        : path_(std::move(path)), data_(std::move(bytes)), version_(expected_version)
    {
    }
    /// As `create::append_to`.
    errc append_to(std::string& body, const detail::scope& s) const;

private:
    std::string path_;
    coati::data data_;
    std::optional<std::int32_t> version_;
};

/// Removes a znode, if its version is the expected one.
class remove {
public:
    /// What it gives in a multi that succeeds.
    using result = std::monostate;

    /// As `client::remove`.
    explicit remove(std::string path, std::optional<std::int32_t> expected_version = {})
        : path_(std::move(path)), version_(expected_version)
    {
    }
    /// As `create::append_to`.
    errc append_to(std::string& body, const detail::scope& s) const;

private:
    std::string path_;
    std::optional<std::int32_t> version_;
};

/// Fails the multi unless the znode exists and, if given, has this version.
class check {
public:
    /// What it gives in a multi that succeeds.
    using result = std::monostate;

    /// As `client::check`.
    explicit check(std::string path, std::optional<std::int32_t> expected_version = {})
        : path_(std::move(path)), version_(expected_version)
    {
    }
    /// As `create::append_to`.
    errc append_to(std::string& body, const detail::scope& s) const;

private:
    std::string path_;
    std::optional<std::int32_t> version_;
};

/// Reads data and stat, in a multi_read.
class get {
public:
    /// What it gives when it succeeds.
    using result = get_result;

    /// As `client::get`.
    explicit get(std::string path) : path_(std::move(path)) {}
    /// As `create::append_to`, to a multi_read's body.
    errc append_to(std::string& body, const detail::scope& s) const;

private:
    std::string path_;
};

/// Lists the names of the children, in a multi_read; there without the parent's stat.
class children {
public:
    /// What it gives when it succeeds.
    using result = std::vector<std::string>;

    /// As `client::children`.
    explicit children(std::string path) : path_(std::move(path)) {}
    /// As `create::append_to`, to a multi_read's body.
    errc append_to(std::string& body, const detail::scope& s) const;

private:
    std::string path_;
};

}  // namespace op

/// An operation of a multi whose length is known at run time only.
using any_op = std::variant<op::create, op::create_with_stat, op::create_with_ttl, op::set,
                            op::remove, op::check>;

/// The same of a multi_read.
using any_read_op = std::variant<op::get, op::children>;

namespace detail {

template <class Op, class Any>
inline constexpr bool is_one_of = false;
template <class Op, class... Ops>
inline constexpr bool is_one_of<Op, std::variant<Ops...>> = (std::is_same_v<Op, Ops> || ...);

}  // namespace detail

/// An operation that a multi can have.
template <class Op>
concept write_op = detail::is_one_of<Op, any_op>;
/// An operation that a multi_read can have.
template <class Op>
concept read_op = detail::is_one_of<Op, any_read_op>;

/// What a multi of these operations gave, in their order: `auto& [a, b] = m->results;`.
template <write_op... Ops>
struct multi_result {
    std::tuple<typename Ops::result...> results;  ///< One for each operation.
    std::int64_t zxid = 0;                        ///< Of the transaction.
};

/// What a multi of a run-time list gave.
struct multi_results {
    std::vector<any_op_result> results;  ///< One for each operation, in their order.
    std::int64_t zxid = 0;               ///< Of the transaction.
};

/// What a multi_read of these operations gave, in their order. Each succeeds or fails alone.
template <read_op... Ops>
struct multi_read_result {
    std::tuple<result<typename Ops::result>...> results;  ///< One for each operation.
    std::int64_t zxid = 0;                                ///< The server's last when it answered.
};

/// What a multi_read of a run-time list gave.
struct multi_read_results {
    std::vector<result<any_read_result>> results;  ///< One for each operation, in their order.
    std::int64_t zxid = 0;                         ///< The server's last when it answered.
};

}  // namespace coati
