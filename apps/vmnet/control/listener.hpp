// SPDX-License-Identifier: Apache-2.0
// Stream sockets of a manager: never blocking, a few at a time.
#pragma once

#include "elisa/error.hpp"
#include "elisa/unique_fd.hpp"

#include <string>
#include <vector>

struct pollfd;

namespace vmnet::control {

// A socket on this machine: "unix:/PATH", "127.0.0.1:PORT" or "[::1]:PORT". A Unix socket is its
// owner's only; what is left over of one that was killed is replaced.
class Listener {
  public:
    [[nodiscard]] static elisa::Result<Listener> open(const std::string &address);
    Listener(Listener &&) = default;
    Listener &operator=(Listener &&) = delete;
    ~Listener();

    // Invalid: nobody waits.
    [[nodiscard]] elisa::UniqueFd accept() const;
    [[nodiscard]] int fd() const { return fd_.get(); }

  private:
    Listener(elisa::UniqueFd fd, std::string path) : fd_{std::move(fd)}, path_{std::move(path)} {}

    elisa::UniqueFd fd_;
    std::string path_; // to be removed
};

// One who has connected: bytes in, bytes out.
class Peer {
  public:
    explicit Peer(elisa::UniqueFd fd) : fd_{std::move(fd)} {}

    // Takes what has come and sends what it can. False: it has gone, or never ends a line.
    bool work(std::size_t longest_input);
    void say(std::string_view bytes) { out_ += bytes; }
    // The next line without its end, if there is one.
    [[nodiscard]] bool line(std::string &into);
    [[nodiscard]] const std::string &input() const { return in_; }
    [[nodiscard]] std::size_t unsent() const { return out_.size() - sent_; }
    [[nodiscard]] bool half_closed() const { return ended_; }
    void wait_for(std::vector<pollfd> &fds) const;

  private:
    elisa::UniqueFd fd_;
    std::string in_;
    std::string out_;
    std::size_t sent_ = 0;
    bool ended_ = false;
};

} // namespace vmnet::control
