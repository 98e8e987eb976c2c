"""What each rule of tidy.py must bite on, and what it must leave alone.

A sample is a small tree: path -> text. Words that may stand nowhere are put together here.
"""

SLASH = "/"
DOT = "."

BAD = {
    "includes_point_down": [
        {"include/coati/wire/a.hpp": "#include <coati/protocol/b.hpp>\n"},
        {"include/coati/protocol/a.hpp": "#include <coati/transport.hpp>\n"},
        {"include/coati/transport.hpp": "#include <coati/client.hpp>\n"},
        {"src/engine.cpp": "#include <coati/client.hpp>\n"},
        {"src/protocol/a.cpp": '#include "../tcp_x.hpp"\n', "src/tcp_x.hpp": ""},
        {"include/coati/client.hpp": "#include <coati/recipe/lock.hpp>\n"},
        {"include/coati/client.hpp": "#include <coati/testing/world.hpp>\n"},
        {"include/coati/recipe/lock.hpp": "#include <coati/transport.hpp>\n"},
        {"include/coati/recipe/lock.hpp": "#include <coati/detail/initiate.hpp>\n"},
        {"include/coati/testing/world.hpp": "#include <coati/client.hpp>\n"},
        {"include/coati/errc.hpp": "#include <coati/protocol/b.hpp>\n"},
        {"src/testing/model/a.cpp": "#include <coati/testing/world.hpp>\n"},
        {"src/testing/model/a.cpp": "#include <coati/transport.hpp>\n"},
    ],
    "low_floors_know_no_asio": [
        {"include/coati/wire/a.hpp": "#include <boost/asio/buffer.hpp>\n"},
        {"src/protocol/a.cpp": "auto t = clock.now();\n"},
        {"src/testing/model/a.cpp": "#include <boost/asio/buffer.hpp>\n"},
    ],
    "only_transport_touches_the_world": [
        {"src/engine.cpp": "auto t = std::chrono::steady_clock::now();\n"},
        {"src/engine.cpp": "asio::steady_timer timer(ex);\n"},
        {"include/coati/client.hpp": "asio::ip::tcp::socket s;\n"},
        {"src/engine.cpp": "std::mt19937 generator;\n"},
        {"src/engine.cpp": "std::random_device seed;\n"},
    ],
    "nothing_is_detached": [{"src/engine.cpp": "co_spawn(ex, f(), asio::detached);\n"}],
    "asio_by_parts": [{"include/coati/client.hpp": "#include <boost/asio.hpp>\n"}],
    "no_capturing_lambda_beside_co_await": [
        {"src/engine.cpp": "co_await f([s]() -> awaitable<int> { co_return 1; });\n"},
        {"src/engine.cpp": "co_await f([&] { g(); });\n"},
        {"test/unit/a_test.cpp": "auto x = co_await f(1,\n    [=](int y) { return y; });\n"},
        {"docs/examples/a.cpp": "co_await f([&a, s = std::move(t)] { g(s); });\n"},
    ],
    "left_overs_name_an_issue": [
        {"src/engine.cpp": "// TODO: later\n"},
        {"docs/howto.md": "FIXME\n"},
    ],
    "banned_words": [
        {"dev": f"cd {SLASH}work{SLASH}main\n"},
        {"test/a.py": f"x = '{SLASH}root{SLASH}.cache'\n"},
        {"dev": f"URIs: http://deb{DOT}debian{DOT}org/debian\n"},
        {"CONTRIBUTING.md": f"from pypi{DOT}org\n"},
    ],
    "files_are_short": [{"src/engine.cpp": "\n" * 601}],
    "lines_are_short": [{"src/engine.cpp": "x" * 101 + "\n"}],
    "functions_are_short": [
        {"src/engine.cpp": "void f()\n{\n" + "    g();\n" * 69 + "}\n"},
        {"include/coati/a.hpp": "struct a {\nint f()\n{\n" + "g();\n" * 69 + "}\n};\n"},
    ],
    "no_dead_files": [
        {"src/a.cpp": "", "src/meson.build": "files('b.cpp')"},
        {"test/unit/wire/a_test.cpp": "", "test/meson.build": ""},
    ],
    "header_only_is_the_same_library": [
        {"include/coati/src.hpp": "", "src/meson.build": "coati_sources = files('a.cpp')"},
        {"include/coati/src.hpp": '#include "a.cpp"\n', "src/meson.build": ""},
    ],
}

GOOD = {
    "includes_point_down": [
        {"include/coati/client.hpp": "#include <coati/wire/a.hpp>\n#include <vector>\n"},
        {"src/engine.cpp": "#include <coati/detail/pending_op.hpp>\n"},
        {"include/coati/recipe/lock.hpp": "#include <coati/client.hpp>\n"},
        {"include/coati/recipe/lock.hpp": "#include <coati/stat.hpp>\n"},
        {"include/coati/src.hpp": '#include "engine.cpp"\n'},
        {"src/testing/a.cpp": '#include "model/b.hpp"\n', "src/testing/model/b.hpp": ""},
        {"test/unit/a_test.cpp": "#include <coati/client.hpp>\n"},
    ],
    "low_floors_know_no_asio": [
        {"include/coati/wire/a.hpp": "// never calls now(), see <boost/asio/buffer.hpp>\n"},
        {"include/coati/protocol/a.hpp": "void f(time_point now);\n"},
    ],
    "only_transport_touches_the_world": [
        {"src/tcp.cpp": "auto t = std::chrono::steady_clock::now();\n"},
        {"src/testing/world.cpp": "std::mt19937_64 generator(seed);\n"},
        {"src/engine.cpp": "// no steady_timer here\nlog(\"steady_timer\");\n"},
    ],
    "nothing_is_detached": [
        {"src/engine.cpp": "// nothing is detached\n"},
        {"test/unit/a_test.cpp": "asio::detached\n"},
    ],
    "asio_by_parts": [{"src/engine.cpp": "#include <boost/asio/post.hpp>\n"}],
    "no_capturing_lambda_beside_co_await": [
        {"src/engine.cpp": "co_await f([] { g(); });\n"},
        {"src/engine.cpp": "auto x = co_await f(a[i], b[j](1));\n"},
        {"src/engine.cpp": "co_await f();\nauto g = [s] { h(s); };\n"},
        {"docs/examples/a.cpp": "co_await hold(zk, [&](client zk) { return app(zk); });\n"},
    ],
    "left_overs_name_an_issue": [{"src/engine.cpp": "// TODO(#12): later\n"}],
    "banned_words": [
        {"dev": f'export PATH="$root{SLASH}work{SLASH}bin"\n'},
        {"docs/howto.md": f"see zookeeper.apache{DOT}org and 127.0.0.1\n"},
    ],
    "functions_are_short": [
        {"src/engine.cpp": "void f()\n{\n" + "    g();\n" * 68 + "}\n"},
        {"include/coati/a.hpp": "struct a\n{\n" + "    int x;\n" * 90 + "};\n"},
    ],
    "no_dead_files": [
        {"src/p/a.cpp": "", "src/meson.build": "files('p/a.cpp')"},
        {"docs/examples/a.cpp": "", "docs/examples/meson.build": "foreach n : ['a']"},
        {"test/support/a.cpp": "", "test/integration/meson.build": "files('../support/a.cpp')"},
    ],
    "header_only_is_the_same_library": [
        {
            "include/coati/src.hpp": '#include "a.cpp"\n',
            "src/meson.build": "files('a.cpp')\ncoati_testing_sources = files('t.cpp')",
        },
    ],
}
