// The scripted server over real TCP, with the znodes that the workloads read and write.

#include "local_server.hpp"

#include <coati/testing/scripted_server.hpp>

#include <boost/asio/io_context.hpp>

#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <stdexcept>

namespace {

namespace asio = boost::asio;

[[noreturn]] void serve(int tell)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    asio::io_context context(1);
    const auto ex = context.get_executor();
    coati::testing::scripted_ensemble ensemble(coati::make_tcp_transport(ex), ex);
    for (const char* path : {"/p100", "/c", "/drop"}) {
        ensemble.put(path, std::string(100, 'x'));
    }
    const auto listen = [ex](const coati::endpoint& at) {
        return coati::make_tcp_listener(ex, at);
    };
    const coati::testing::scripted_server server(ensemble, coati::endpoint{"127.0.0.1", 0, {}},
                                                 listen);
    const auto port = server.local().port;
    if (write(tell, &port, sizeof port) == sizeof port) {
        context.run();
    }
    _exit(1);
}

}  // namespace

std::string start_local_server()
{
    int ends[2];
    if (pipe(ends) != 0) {
        throw std::runtime_error("no pipe");
    }
    if (fork() == 0) {
        serve(ends[1]);
    }
    std::uint16_t port = 0;
    if (read(ends[0], &port, sizeof port) != sizeof port) {
        throw std::runtime_error("the local server did not start");
    }
    close(ends[0]);
    close(ends[1]);
    return "127.0.0.1:" + std::to_string(port);
}
