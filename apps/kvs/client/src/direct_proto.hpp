// SPDX-License-Identifier: Apache-2.0
// How a process gets at the store of a manager on its own machine: one message each way over a
// SOCK_SEQPACKET Unix socket. The port is open as long as the connection is.
#pragma once

#include <cstdint>

namespace kvs::direct {

inline constexpr std::uint32_t magic = 0x3153564b; // "KVS1"

struct Hello {
    std::uint32_t kind = magic;
    std::uint32_t reserved = 0;
    std::uint64_t instance = 0;
    char label[32] = {}; // NUL-terminated
};

// With it, the store's memory as a file descriptor, unless refused.
struct Welcome {
    std::uint32_t kind = magic;
    std::uint32_t port = 0;
    std::uint64_t bytes = 0;
    char refused[112] = {}; // why; empty: it is not
};

} // namespace kvs::direct
