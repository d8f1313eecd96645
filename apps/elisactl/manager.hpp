// SPDX-License-Identifier: Apache-2.0
// A running manager (vmnet), by its control socket.
#pragma once

#include "context.hpp"
#include "elisa/unique_fd.hpp"

#include <string>
#include <string_view>

namespace elisactl {

// Where it is looked for when nobody says: $ELISACTL_SOCKET, the only socket in /run/elisa, or
// /run/elisa/rvs.sock.
[[nodiscard]] std::string usual_socket();

// Somebody said where it is, so that it should be there.
[[nodiscard]] bool is_socket_named(const Context &context);

class Manager {
  public:
    [[nodiscard]] static elisa::Result<Manager> connect(const Context &context);

    // Its answer without "ok"; an error is what it refused with.
    [[nodiscard]] elisa::Result<Json> ask(const Json &request);
    // What comes after an answer. False: it has closed the connection.
    [[nodiscard]] elisa::Result<bool> read_line(std::string &line);
    [[nodiscard]] elisa::Result<bool> read_bytes(void *into, std::size_t length);
    [[nodiscard]] int fd() const { return fd_.get(); }
    [[nodiscard]] bool buffered() const { return at_ != in_.size(); }

  private:
    Manager(elisa::UniqueFd fd, std::string path) : fd_{std::move(fd)}, path_{std::move(path)} {}
    [[nodiscard]] elisa::Result<bool> more();

    elisa::UniqueFd fd_;
    std::string path_;
    std::string in_;
    std::size_t at_ = 0;
};

// One question, one answer.
[[nodiscard]] elisa::Result<Json> ask(const Context &context, const Json &request);

// A port as given on the command line: a number, or a label.
[[nodiscard]] Json port_json(const std::string &text);

} // namespace elisactl
