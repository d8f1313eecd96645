// SPDX-License-Identifier: Apache-2.0
// The manager of the direct backend: hands the store's memory to processes of this machine.
#pragma once

#include "elisa/unique_fd.hpp"
#include "guests.hpp"

#include <atomic>
#include <list>
#include <memory>
#include <string>

namespace kvs {

class DirectServer {
  public:
    [[nodiscard]] static elisa::Result<std::unique_ptr<DirectServer>>
    create(const std::string &socket, const Guests &guests);
    DirectServer(const DirectServer &) = delete;
    DirectServer &operator=(const DirectServer &) = delete;
    ~DirectServer();

    void run(const std::atomic<bool> &stop);
    [[nodiscard]] const Store &store() const noexcept { return *store_; }

  private:
    struct Connection {
        elisa::UniqueFd socket;
        std::optional<PortId> port;
    };

    explicit DirectServer(const Guests &guests) : guests_{guests} {}
    void accept();
    // False: it is over.
    bool serve(Connection &connection);

    const Guests &guests_;
    std::string path_;
    elisa::UniqueFd memory_;
    std::size_t bytes_ = 0;
    void *at_ = nullptr;
    Store *store_ = nullptr;
    elisa::UniqueFd listener_;
    std::list<Connection> connections_;
};

} // namespace kvs
