// SPDX-License-Identifier: Apache-2.0
// A client of memcached's text protocol over TCP, one request at a time: what `kvs load` compares
// the store with.
#pragma once

#include "elisa/error.hpp"
#include "elisa/unique_fd.hpp"

#include <cstdint>
#include <string>
#include <string_view>

namespace kvs::cli {

class TextClient {
  public:
    // "ADDRESS:PORT", IPv4. Tries again until `timeout` seconds are over: the server may not be
    // there yet.
    [[nodiscard]] static elisa::Result<TextClient> connect(const std::string &where,
                                                           double timeout);

    // Whether the key is there.
    [[nodiscard]] elisa::Result<bool> get(std::string_view key);
    [[nodiscard]] elisa::Result<void> put(std::string_view key, std::string_view value);

  private:
    explicit TextClient(elisa::UniqueFd socket) noexcept : socket_{std::move(socket)} {}
    [[nodiscard]] elisa::Result<void> send(std::string_view request);
    // So many bytes at least are in answer_.
    [[nodiscard]] elisa::Result<void> receive(std::size_t bytes);
    // The first line of the answer, without its end.
    [[nodiscard]] elisa::Result<std::string_view> line();

    elisa::UniqueFd socket_;
    std::string request_;
    std::string answer_;
};

} // namespace kvs::cli
