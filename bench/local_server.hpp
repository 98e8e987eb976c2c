// A server of the testing kit in a process of its own, for a benchmark that nobody gave a server
// to. It is slower than the client: only the client's CPU time means something then.
#pragma once

#include <string>

/// Starts it; it ends with this process. Returns "127.0.0.1:port".
std::string start_local_server();
