// SPDX-License-Identifier: Apache-2.0
// Sockets for the front end: one thread, as many connections as there are descriptors.
#pragma once

#include "elisa/unique_fd.hpp"
#include "protocol.hpp"

#include <atomic>
#include <list>
#include <string>
#include <vector>

namespace kvs::memcached {

class Server {
  public:
    explicit Server(Client &client) : client_{client} {}

    // "ADDRESS:PORT" (IPv4; port 0: any that is free), or a path with a slash. Says where it
    // listens.
    [[nodiscard]] elisa::Result<std::string> listen(const std::string &where);
    void run(const std::atomic<bool> &stop);

  private:
    struct Peer {
        elisa::UniqueFd socket;
        Conversation conversation;
        std::string out;
        bool open = true; // false: what is in `out`, and then the end
    };

    void accept(int listener);
    // False: it is over.
    bool receive(Peer &peer);
    bool send(Peer &peer);

    Client &client_;
    std::vector<elisa::UniqueFd> listeners_;
    std::list<Peer> peers_;
};

} // namespace kvs::memcached
