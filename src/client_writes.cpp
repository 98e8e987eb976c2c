// The writing operations of the client, each alone; client_multi.cpp has them together.

#include "client_arguments.hpp"

#include <coati/client.hpp>

namespace coati {

namespace {

using detail::answer;
using detail::create_arguments;
using detail::decode_stat;
using detail::error_of;
using detail::make_request;
using detail::on_the_wire;
using detail::pending_op;
using detail::server_path;
using detail::version_of;
using protocol::reply;

template <class Op>
result<created> decode_created(pending_op<created>& op, const reply& r)
{
    typename Op::response body;
    if (const auto failed = answer(op, r, body)) {
        return *failed;
    }
    created made;
    made.path.assign(wire::strip_chroot(op.owner->chroot, body.path));
    made.zxid = r.zxid;
    return made;
}

template <class Op>
result<created_with_stat> decode_created_with_stat(pending_op<created_with_stat>& op,
                                                   const reply& r)
{
    typename Op::response body;
    if (const auto failed = answer(op, r, body)) {
        return *failed;
    }
    created_with_stat made;
    made.path.assign(wire::strip_chroot(op.owner->chroot, body.path));
    made.stat = body.stat;
    made.zxid = r.zxid;
    return made;
}

result<void> decode_removed(pending_op<void>& op, const reply& r)
{
    if (r.err != 0) {
        return error_of(op, r);
    }
    return success();
}

}  // namespace

operation<created> client::create(std::string path, coati::data bytes, create_mode mode,
                                  std::optional<acls> who) const
{
    const create_arguments given(*scope_, path, mode, who);
    const auto what = given.request(bytes);
    if (mode == create_mode::container) {
        return operation<created>(make_request<wire::create_container, created>(
            scope_, given.wrong(), what, &decode_created<wire::create_container>));
    }
    return operation<created>(make_request<wire::create, created>(scope_, given.wrong(), what,
                                                                  &decode_created<wire::create>));
}

operation<created_with_stat> client::create_with_stat(std::string path, coati::data bytes,
                                                      create_mode mode,
                                                      std::optional<acls> who) const
{
    const create_arguments given(*scope_, path, mode, who);
    const auto what = given.request(bytes);
    if (mode == create_mode::container) {
        return operation<created_with_stat>(make_request<wire::create_container, created_with_stat>(
            scope_, given.wrong(), what, &decode_created_with_stat<wire::create_container>));
    }
    return operation<created_with_stat>(make_request<wire::create2, created_with_stat>(
        scope_, given.wrong(), what, &decode_created_with_stat<wire::create2>));
}

operation<created_with_stat> client::create_with_ttl(std::string path, coati::data bytes,
                                                     std::chrono::milliseconds ttl,
                                                     create_mode mode,
                                                     std::optional<acls> who) const
{
    const create_arguments given(*scope_, path, mode, who);
    errc wrong = detail::check_ttl(ttl, mode);
    if (wrong == errc{0}) {
        wrong = given.wrong();
    }
    return operation<created_with_stat>(make_request<wire::create_ttl, created_with_stat>(
        scope_, wrong, given.request(bytes, ttl), &decode_created_with_stat<wire::create_ttl>));
}

operation<stat> client::set(std::string path, coati::data bytes,
                            std::optional<std::int32_t> expected_version) const
{
    const server_path where(*scope_, path);
    wire::set_data::request what;
    what.path = where.view();
    what.data = on_the_wire(bytes);
    what.version = version_of(expected_version);
    return operation<stat>(make_request<wire::set_data, stat>(scope_, where.wrong(), what,
                                                              &decode_stat<wire::set_data>));
}

operation<void> client::remove(std::string path, std::optional<std::int32_t> expected_version) const
{
    const server_path where(*scope_, path);
    wire::remove::request what;
    what.path = where.view();
    what.version = version_of(expected_version);
    return operation<void>(
        make_request<wire::remove, void>(scope_, where.wrong(), what, &decode_removed));
}

}  // namespace coati
