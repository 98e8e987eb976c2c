// Whatever the protocol has, the client has: each op code its method (or who else sends it) and a
// test against real servers, each error code, event type and create mode its name. Structs and
// captured frames are asked for in test/unit/wire/vector_test.cpp.
//
// The tables stand here a second time on purpose, and the headers are read as text: what is added
// in one place only is found. A new op code is a line in `rows`.

#include "source_texts.hpp"

#include <coati/client.hpp>
#include <coati/wire/all_operations.hpp>

#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <filesystem>
#include <map>
#include <regex>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace {

using coati::wire::op_code;
using coati_test::test_folder;
using coati_test::text_of;

std::string header(const char* name)
{
    return text_of(test_folder().parent_path() / "include/coati" / name);
}

/// The names in an enum's definition, in order.
std::vector<std::string> enumerators(const std::string& text, const std::string& name)
{
    const std::size_t begin = text.find('{', text.find("enum class " + name + " "));
    const std::string body = text.substr(begin, text.find("};", begin) - begin);
    const std::regex one("\n    (\\w+)(?: = -?\\d+)?[,\\s]");
    std::vector<std::string> found;
    for (auto at = std::sregex_iterator(body.begin(), body.end(), one);
         at != std::sregex_iterator(); ++at) {
        found.push_back((*at)[1]);
    }
    return found;
}

struct row {
    op_code code;
    std::vector<std::string> methods;
    std::string_view instead;  // of a method
};

const std::vector<row>& rows()
{
    static const std::vector<row> all{
        {op_code::create, {"create"}, {}},
        {op_code::create2, {"create_with_stat"}, {}},
        {op_code::create_container, {"create", "create_with_stat"}, {}},
        {op_code::create_ttl, {"create_with_ttl"}, {}},
        {op_code::remove, {"remove"}, {}},
        {op_code::exists, {"exists", "exists_and_watch"}, {}},
        {op_code::get_data, {"get", "get_and_watch", "get_config", "get_config_and_watch"}, {}},
        {op_code::set_data, {"set"}, {}},
        {op_code::get_acl, {"get_acl"}, {}},
        {op_code::set_acl, {"set_acl"}, {}},
        {op_code::get_children2, {"children", "children_and_watch"}, {}},
        {op_code::get_children, {"multi_read"}, {}},
        {op_code::sync, {"sync"}, {}},
        {op_code::check, {"check", "multi"}, {}},
        {op_code::multi, {"multi"}, {}},
        {op_code::multi_read, {"multi_read"}, {}},
        {op_code::reconfig, {"reconfig"}, {}},
        {op_code::who_am_i, {"who_am_i"}, {}},
        {op_code::get_ephemerals, {"get_ephemerals"}, {}},
        {op_code::get_all_children_number, {"count_descendants"}, {}},
        {op_code::close_session, {"close"}, {}},
        {op_code::ping, {}, "the engine's clock"},
        {op_code::remove_watches, {}, "a watch that is dropped"},
        {op_code::check_watches, {}, "nobody: a watch knows itself whether it is armed"},
        {op_code::set_watches, {}, "the engine, on every new connection"},
        {op_code::set_watches2, {}, "the engine, when there are persistent watches"},
        {op_code::add_watch, {"watch"}, {}},
        {op_code::auth, {"add_auth"}, {}},
        {op_code::sasl, {}, "the engine, with config.sasl"},
    };
    return all;
}

}  // namespace

TEST_CASE("every op code has a method, or somebody else who sends it", "[completeness]")
{
    std::map<op_code, int> seen;
    for (const row& each : rows()) {
        ++seen[each.code];
        CAPTURE(coati::wire::name(each.code));
        CHECK(each.methods.empty() != each.instead.empty());
    }
    for (const op_code code : coati::wire::all_op_codes) {
        CAPTURE(coati::wire::name(code));
        CHECK(seen[code] == 1);
    }
    CHECK(rows().size() == coati::wire::all_op_codes.size());

    // The enum has no number that all_op_codes forgets, but for those that no client sends.
    auto names = enumerators(header("wire/op_code.hpp"), "op_code");
    const std::set<std::string> never{"notification", "delete_container", "create_session",
                                      "error"};
    std::erase_if(names, [&](const std::string& each) { return never.contains(each); });
    CHECK(names.size() == coati::wire::all_op_codes.size());
}

TEST_CASE("every method of an op code is there, and is tried against real servers",
          "[completeness]")
{
    const std::string client = header("client.hpp");
    std::string tests;
    for (const auto& file : std::filesystem::directory_iterator(test_folder() / "integration")) {
        if (file.path().extension() == ".cpp") {
            tests += text_of(file.path());
        }
    }
    for (const row& each : rows()) {
        for (const std::string& method : each.methods) {
            CAPTURE(method);
            CHECK(std::regex_search(client, std::regex("> " + method + "\\(")));
            CHECK(std::regex_search(tests, std::regex("\\." + method + "\\(")));
        }
    }
}

TEST_CASE("every error code has its name and its line in the table", "[completeness]")
{
    std::set<std::string> named;
    for (const coati::errc code : coati::all_errc()) {
        named.emplace(name(code));
        CHECK_FALSE(describe(code).empty());
    }
    const auto written = enumerators(header("errc.hpp"), "errc");
    CHECK(written.size() == coati::all_errc().size());
    CHECK(std::set<std::string>(written.begin(), written.end()) == named);
}

TEST_CASE("every event type has its name", "[completeness]")
{
    std::set<std::string> named;
    for (std::int32_t number = 0; number < 32; ++number) {
        named.emplace(name(static_cast<coati::event_type>(number)));
    }
    named.erase("unknown");
    const auto written = enumerators(header("event.hpp"), "event_type");
    CHECK(written.size() >= 4);
    CHECK(std::set<std::string>(written.begin(), written.end()) == named);
}

TEST_CASE("every create mode of the protocol has a way to be asked for", "[completeness]")
{
    // The flags of ZooKeeper's CreateMode: by an enumerator, or by create_with_ttl.
    const std::map<std::int32_t, std::string> flags{
        {0, "persistent"},           {1, "ephemeral"}, {2, "persistent_sequential"},
        {3, "ephemeral_sequential"}, {4, "container"}, {5, "create_with_ttl"},
        {6, "create_with_ttl"},
    };
    const auto written = enumerators(header("create_mode.hpp"), "create_mode");
    CHECK(written.size() == 5);
    for (const auto& [flag, how] : flags) {
        CAPTURE(how);
        const auto at = std::find(written.begin(), written.end(), how);
        if (how == "create_with_ttl") {
            CHECK(at == written.end());
        } else {
            REQUIRE(at != written.end());
            CHECK(static_cast<std::int32_t>(at - written.begin()) == flag);
        }
    }
    using enum coati::create_mode;
    CHECK(static_cast<int>(container) == 4);
    CHECK(is_sequential(persistent_sequential));
    CHECK(is_sequential(ephemeral_sequential));
    CHECK_FALSE(
        (is_sequential(persistent) || is_sequential(ephemeral) || is_sequential(container)));
}
