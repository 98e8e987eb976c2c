// Each public operation of `client` is proved twice: by captured frames, which are what other
// clients and real servers have written (test/unit/vectors), and by a named test case against real
// servers. This table names both, and fails for an operation that is not in it.
//
// The header and the tests are read as text; that a captured frame is read and written byte for
// byte is test/unit/wire/vector_test.cpp.

#include "source_texts.hpp"

#include <catch2/catch_test_macros.hpp>

#include <filesystem>
#include <map>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <vector>

namespace {

using coati_test::test_folder;
using coati_test::text_of;

// The operation, its captured frames and what those call themselves (by a regular expression);
// below that the test case.
constexpr const char* proofs_of_operations = R"(
run | 1 2 3 47 | Connect
    the states of a plain session are told once each and in order
close | 27 28 | closeSession
    a close that is confirmed has taken the ephemerals away
detach | nothing is sent |
    a session is left in order and taken up by another client, with its ephemerals
connected | nothing is sent |
    clients spread over all servers
set_servers | nothing is sent |
    a client whose server leaves the list moves to another, and its session with it
follow_ensemble | 10 11 | getData
    real servers: a client comes home to its zone, and follows its ensemble
add_auth | 4 5 | [Aa]uth
    who made a znode for itself can read it, a stranger and a wrong password cannot
get | 10 11 | getData
    get, set, exists, children, remove and sync tell what the server has
get_and_watch | 10 11 16 | getData|event
    two quick changes fire a one-shot watch once
exists | 12 13 | exists|its reply
    get, set, exists, children, remove and sync tell what the server has
exists_and_watch | 12 13 36 | exists|its reply|exist watch
    get of a missing znode arms nothing, exists of it does
children | 51 52 | getChildren2
    get, set, exists, children, remove and sync tell what the server has
children_and_watch | 51 52 | getChildren2
    data and child watches of a path come and go apart
sync | 22 23 | sync
    get, set, exists, children, remove and sync tell what the server has
watch | 32 33 | addWatch
    a read that crosses the setting of a stream does not end it unnoticed
create | 6 7 8 9 30 | create|its reply
    each create mode makes the znode that it names
create_with_stat | 29 | create2
    create_with_stat gives the stat that exists gives
create_with_ttl | 31 | createTTL
    a znode with a ttl is made, and a ttl that no server takes is refused here
set | 15 17 | setData
    get, set, exists, children, remove and sync tell what the server has
remove | 18 | delete
    get, set, exists, children, remove and sync tell what the server has
multi | 18 19 20 21 | multi
    a multi does all of its operations and gives a typed result for each
multi_read | 39 40 | multiRead
    several reads in one request fail one by one
check | 18 20 | check
    a check alone is answered, and is no write in doubt
get_acl | 24 | getACL
    an ACL is read and replaced, if its version is the expected one
set_acl | 49 50 | setACL
    an ACL is read and replaced, if its version is the expected one
who_am_i | 41 42 | whoAmI
    who_am_i names the address that the server sees
get_ephemerals | 53 54 | getEphemerals
    ephemerals are those of this session, and of the handle's chroot
count_descendants | 55 56 | getAllChildrenNumber
    ephemerals are those of this session, and of the handle's chroot
get_config | 10 11 | getData
    an ensemble's configuration names its servers; who may not, cannot change it
get_config_and_watch | 10 11 | getData
    servers leave and join, step by step and as a whole, and the watch tells
reconfig | 61 | reconfig
    servers leave and join, step by step and as a whole, and the watch tells
lease_runs_out | nothing is sent |
    the lease of a session is known, and runs out behind a wire that stands still
sleep_for | nothing is sent |
    timers of operations come one after another
within | nothing is sent |
    waiting for a znode to come and to go
)";

struct proofs {
    std::vector<int> frames;
    std::regex frames_of;
    std::string test_case;
};

std::map<std::string, proofs> table()
{
    std::map<std::string, proofs> all;
    std::istringstream lines(proofs_of_operations);
    std::string head;
    std::string test_case;
    std::getline(lines, head);
    while (std::getline(lines, head) && std::getline(lines, test_case)) {
        const std::regex three("(\\w+) \\| ([0-9 ]+|nothing is sent) \\|(?: (.+))?");
        std::smatch cells;
        INFO(head);
        REQUIRE(std::regex_match(head, cells, three));
        proofs by;
        std::istringstream numbers(cells[2]);
        for (int number = 0; numbers >> number;) {
            by.frames.push_back(number);
        }
        CHECK(by.frames.empty() == (cells[2] == "nothing is sent"));
        by.frames_of = cells[3].str();
        by.test_case = test_case.substr(test_case.find_first_not_of(' '));
        CHECK(all.emplace(cells[1], by).second);
    }
    return all;
}

/// The names of the methods of `client` that give an operation.
std::set<std::string> public_operations()
{
    const std::string text = text_of(test_folder().parent_path() / "include/coati/client.hpp");
    const std::string body = text.substr(text.find("\nclass client {"));
    const std::regex one("\n    operation<.*> (\\w+)\\(");
    std::set<std::string> names;
    for (auto at = std::sregex_iterator(body.begin(), body.end(), one);
         at != std::sregex_iterator(); ++at) {
        names.insert((*at)[1]);
    }
    return names;
}

/// What each test case against real servers does, by its name.
std::map<std::string, std::string> integration_cases()
{
    std::map<std::string, std::string> cases;
    const std::regex one("TEST_CASE\\(\\s*\"([^\"]*)\"");
    for (const auto& file : std::filesystem::directory_iterator(test_folder() / "integration")) {
        if (!file.path().string().ends_with("_test.cpp")) {
            continue;
        }
        const std::string text = text_of(file.path());
        for (auto at = std::sregex_iterator(text.begin(), text.end(), one);
             at != std::sregex_iterator(); ++at) {
            const auto begin = static_cast<std::size_t>(at->position());
            cases[(*at)[1]] = text.substr(begin, text.find("TEST_CASE(", begin + 1) - begin);
        }
    }
    return cases;
}

/// What a captured frame says of itself.
std::string title_of(int frame)
{
    const std::string number = (frame < 10 ? "0" : "") + std::to_string(frame);
    const std::string text = text_of(test_folder() / "unit/vectors" / ("V" + number + ".hex"));
    return text.substr(0, text.find('\n'));
}

}  // namespace

TEST_CASE("every public operation has captured frames and a test against real servers",
          "[completeness][operations]")
{
    const auto operations = public_operations();
    const auto proved = table();
    CHECK(operations.size() > 30);
    for (const std::string& operation : operations) {
        CAPTURE(operation);
        CHECK(proved.contains(operation));
    }
    CHECK(proved.size() == operations.size());

    const auto cases = integration_cases();
    CHECK(cases.size() > 100);
    for (const auto& [operation, by] : proved) {
        CAPTURE(operation, by.test_case);
        REQUIRE(cases.contains(by.test_case));
        // In the case itself: what a helper calls is easily lost from there.
        const std::regex call("[.]" + operation + "\\(");
        CHECK(std::regex_search(cases.at(by.test_case), call));
        for (const int frame : by.frames) {
            CAPTURE(title_of(frame));
            CHECK(std::regex_search(title_of(frame), by.frames_of));
        }
    }
}
