// Registering instances of services: a presence of znodes that hold JSON.

#include <coati/recipe/discovery.hpp>

#include <stdexcept>

namespace coati {

namespace detail {

namespace {

bool is_one_component(std::string_view text) noexcept
{
    return !text.empty() && text != "." && text != ".." && text.find('/') == std::string_view::npos;
}

std::string instance_path(const service_options& how, std::string_view service, std::string_view id)
{
    std::string path = how.base == "/" ? "" : how.base;
    path.append("/").append(service).append("/").append(id);
    return path;
}

}  // namespace

}  // namespace detail

service_registration::service_registration(const client& zk, service_options how)
    : how_(std::move(how)), here_(zk, how_.keep)
{
}

result<void> service_registration::add(const service_instance& what) const
{
    const bool is_named =
        detail::is_one_component(what.service) && detail::is_one_component(what.id);
    if (!is_named || what.address.empty()) {
        return error(errc::invalid_argument, fate::not_sent);
    }
    try {
        here_.add(detail::instance_path(how_, what.service, what.id), service_codec().encode(what),
                  create_mode::ephemeral, how_.who);
    } catch (const std::invalid_argument&) {
        return error(errc::invalid_argument, fate::not_sent);
    }
    return success();
}

bool service_registration::remove(std::string_view service, std::string_view id) const
{
    return here_.remove(detail::instance_path(how_, service, id));
}

}  // namespace coati
