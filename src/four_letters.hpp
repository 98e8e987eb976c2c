// One question to a server beside the session: a four letter word over a connection of its own,
// answered with a text and the end of the connection. Makes no session and needs none.
#pragma once

#include "engine.hpp"

#include <boost/asio/awaitable.hpp>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace coati::detail {

enum class four_letters : std::uint8_t {
    isro,  ///< "rw" or "ro". Servers allow it where readonlymode.enabled is set.
    srvr,  ///< Version, mode and load. Servers allow it unless told otherwise.
};

/// What became of a question.
class word_answer {
public:
    word_answer() = default;
    explicit word_answer(const ending& e) : how(e) {}

    ending how;                         // no_result: it answered
    std::string said;                   // the first 4 KiB
    duration round_trip = duration{0};  // from the question to the first byte
};

/// Whether a server is there.
class sighting {
public:
    sighting() = default;

    std::optional<endpoint> where;  // an address that answers as a ZooKeeper does
    bool serves = false;            // it is part of a quorum
    duration round_trip = duration{0};
};

/// Completes when the time is over or it is cancelled; never throws.
asio::awaitable<ending> patience_over(std::shared_ptr<transport> world, duration patience);

/// `patience` is for all of it.
asio::awaitable<word_answer> ask_word(std::shared_ptr<transport> world, endpoint where,
                                      four_letters word, duration patience);

/// The addresses of a name. Empty, when it has none or does not say so in time.
asio::awaitable<std::vector<endpoint>> look_up(std::shared_ptr<transport> world,
                                               server_address server, duration patience);

/// Asks the addresses of a server one after another, until one serves. `patience` is for each.
asio::awaitable<sighting> look_at(std::shared_ptr<transport> world, server_address server,
                                  duration patience);

}  // namespace coati::detail
