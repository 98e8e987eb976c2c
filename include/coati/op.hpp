// The operations of a multi, as values: `zk.multi(op::check("/a", 3), op::create("/b", "x"))`.
#pragma once

#include <coati/acl.hpp>
#include <coati/create_mode.hpp>
#include <coati/data.hpp>
#include <coati/errc.hpp>
#include <coati/stat.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <variant>
#include <vector>

namespace coati {

namespace detail {
struct scope;
}

/// What one operation of a run-time multi gave: nothing (check, remove), the path (create), the
/// stat (set).
using any_op_result = std::variant<std::monostate, std::string, stat>;

namespace op {

/// Creates a znode. Gives its path, which the server completes for sequential modes.
class create {
public:
    using result = std::string;

    explicit create(std::string path, coati::data bytes = {},
                    create_mode mode = create_mode::persistent, acls who = acls::open_unsafe())
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
    acls acls_;
};

/// Sets the data of a znode, if its version is the expected one. Gives the new stat.
class set {
public:
    using result = stat;

    explicit set(std::string path, coati::data bytes,
                 std::optional<std::int32_t> expected_version = {})
        : path_(std::move(path)), data_(std::move(bytes)), version_(expected_version)
    {
    }
    errc append_to(std::string& body, const detail::scope& s) const;

private:
    std::string path_;
    coati::data data_;
    std::optional<std::int32_t> version_;
};

/// Removes a znode, if its version is the expected one.
class remove {
public:
    using result = std::monostate;

    explicit remove(std::string path, std::optional<std::int32_t> expected_version = {})
        : path_(std::move(path)), version_(expected_version)
    {
    }
    errc append_to(std::string& body, const detail::scope& s) const;

private:
    std::string path_;
    std::optional<std::int32_t> version_;
};

/// Fails the multi unless the znode exists and, if given, has this version.
class check {
public:
    using result = std::monostate;

    explicit check(std::string path, std::optional<std::int32_t> expected_version = {})
        : path_(std::move(path)), version_(expected_version)
    {
    }
    errc append_to(std::string& body, const detail::scope& s) const;

private:
    std::string path_;
    std::optional<std::int32_t> version_;
};

}  // namespace op

/// An operation of a multi whose length is known at run time only.
using any_op = std::variant<op::create, op::set, op::remove, op::check>;

template <class Op>
concept write_op = std::is_same_v<Op, op::create> || std::is_same_v<Op, op::set> ||
                   std::is_same_v<Op, op::remove> || std::is_same_v<Op, op::check>;

/// What a multi of these operations gave, in their order: `auto& [a, b] = m->results;`.
template <write_op... Ops>
struct multi_result {
    std::tuple<typename Ops::result...> results;
    std::int64_t zxid = 0;  ///< Of the transaction.
};

/// What a multi of a run-time list gave.
struct multi_results {
    std::vector<any_op_result> results;
    std::int64_t zxid = 0;  ///< Of the transaction.
};

}  // namespace coati
