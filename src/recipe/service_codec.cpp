// An instance of a service as JSON. The one place that knows how JSON is read.

#include <coati/recipe/discovery.hpp>

#include <nlohmann/json.hpp>

#include <cstddef>
#include <limits>
#include <stdexcept>

namespace coati {

namespace detail {

namespace {

using json = nlohmann::ordered_json;  // fields stay in their order

/// Printing what was read walks down by recursion, and a stranger's text may go far down.
constexpr std::size_t deepest_json = 100;

bool is_too_deep(std::string_view text) noexcept
{
    std::size_t depth = 0;
    bool is_text = false;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const char c = text[i];
        if (is_text) {
            i += c == '\\' ? 1U : 0U;
            is_text = c != '"';
        } else if (c == '"') {
            is_text = true;
        } else if (c == '{' || c == '[') {
            if (++depth > deepest_json) {
                return true;
            }
        } else if (c == '}' || c == ']') {
            depth -= depth == 0 ? 0U : 1U;
        }
    }
    return false;
}

decoded<json> parse_json(std::string_view text)
{
    if (is_too_deep(text)) {
        return undecodable("JSON that is nested too deep");
    }
    json all = json::parse(text, nullptr, false);
    if (all.is_discarded()) {
        return undecodable("no JSON");
    }
    return all;
}

/// Takes a text out of the object. False: it is none.
bool take_text(json& all, const char* field, std::string& to)
{
    const auto found = all.find(field);
    if (found == all.end()) {
        return true;
    }
    const bool is_fine = found->is_null() || found->is_string();
    if (found->is_string()) {
        to = found->get<std::string>();
    }
    all.erase(found);
    return is_fine;
}

bool take_port(json& all, std::uint16_t& to)
{
    const auto found = all.find("port");
    if (found == all.end()) {
        return true;
    }
    bool is_fine = found->is_null();
    if (found->is_number_unsigned()) {
        const auto number = found->get<std::uint64_t>();
        is_fine = number <= std::numeric_limits<std::uint16_t>::max();
        to = static_cast<std::uint16_t>(number);
    }
    all.erase(found);
    return is_fine;
}

json parse_own(const std::string& text, const char* what)
{
    auto parsed = parse_json(text);
    if (!parsed) {
        throw std::invalid_argument(std::string("the ") + what + " is " + parsed.why());
    }
    return *std::move(parsed);
}

}  // namespace

}  // namespace detail

decoded<service_instance> service_codec::decode(std::string_view bytes) const
{
    auto parsed = detail::parse_json(bytes);
    if (!parsed) {
        return undecodable(parsed.why());
    }
    detail::json& all = *parsed;
    if (!all.is_object()) {
        return undecodable("JSON, but no object");
    }
    service_instance it;
    for (const auto& [field, to] : {std::pair<const char*, std::string*>("name", &it.service),
                                    {"id", &it.id},
                                    {"address", &it.address},
                                    {"zone", &it.zone}}) {
        if (!detail::take_text(all, field, *to)) {
            return undecodable(std::string("\"") + field + "\" is no text");
        }
    }
    if (it.address.empty()) {
        return undecodable("there is no \"address\"");
    }
    if (!detail::take_port(all, it.port)) {
        return undecodable("\"port\" is no port");
    }
    if (const auto payload = all.find("payload"); payload != all.end()) {
        it.payload = payload->is_null() ? std::string() : payload->dump();
        all.erase(payload);
    }
    it.others = all.empty() ? std::string() : all.dump();
    return it;
}

std::string service_codec::encode(const service_instance& value) const
{
    detail::json all = detail::json::object();
    all["name"] = value.service;
    all["id"] = value.id;
    all["address"] = value.address;
    if (value.port != 0) {
        all["port"] = value.port;
    }
    if (!value.zone.empty()) {
        all["zone"] = value.zone;
    }
    if (!value.payload.empty()) {
        all["payload"] = detail::parse_own(value.payload, "payload");
    }
    if (!value.others.empty()) {
        const detail::json others = detail::parse_own(value.others, "rest");
        if (!others.is_object()) {
            throw std::invalid_argument("the rest is no JSON object");
        }
        for (const auto& [field, what] : others.items()) {
            if (!all.contains(field)) {
                all[field] = what;
            }
        }
    }
    try {
        return all.dump();
    } catch (const detail::json::exception& wrong) {
        throw std::invalid_argument(wrong.what());  // no UTF-8
    }
}

}  // namespace coati
