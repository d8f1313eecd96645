// SPDX-License-Identifier: Apache-2.0
// QEMU's ivshmem devices, whose BAR 2 is a memory slot of its own; a device with a romfile has
// another one, read-only.
#pragma once

#include "elisa/error.hpp"
#include "elisa/unique_fd.hpp"

#include <cstdint>
#include <filesystem>
#include <vector>

namespace probes {

class Ivshmem {
  public:
    // In the order of their addresses on the bus. An error if there is none.
    [[nodiscard]] static elisa::Result<std::vector<Ivshmem>> all();

    // Whether its memory is there.
    [[nodiscard]] bool set_memory_space(bool on) const;
    // Guest-physical; 0: it has none.
    [[nodiscard]] std::uint64_t memory() const { return resource(2); }
    [[nodiscard]] std::uint64_t rom() const { return resource(6); }
    [[nodiscard]] bool enable_rom() const;

  private:
    Ivshmem(std::filesystem::path path, elisa::UniqueFd config)
        : path_{std::move(path)}, config_{std::move(config)}
    {
    }
    [[nodiscard]] std::uint64_t resource(unsigned number) const;

    std::filesystem::path path_;
    elisa::UniqueFd config_;
};

} // namespace probes
