// SPDX-License-Identifier: Apache-2.0
// A Unix socket to listen at, without harm to who listens there already.
#pragma once

#include "elisa/error.hpp"
#include "elisa/unique_fd.hpp"

#include <cstdint>
#include <string>

namespace apps {

enum class Access : std::uint8_t {
    owner, // only he can connect
    umask, // whom the umask lets
};

// `type`: SOCK_STREAM or SOCK_SEQPACKET; never blocking. Only a socket that nobody listens at, left
// over from a program that was killed, is replaced; anything else at `path` is an error.
[[nodiscard]] elisa::Result<elisa::UniqueFd> listen_unix(const std::string &path, int type,
                                                         Access access);

} // namespace apps
