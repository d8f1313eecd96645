// SPDX-License-Identifier: Apache-2.0
// Capture filters as tcpdump knows them (pcap-filter(7)).
#pragma once

#include "elisa/error.hpp"

#include <cstdint>
#include <memory>
#include <span>
#include <string>

struct bpf_program;

namespace elisactl {

class Filter {
  public:
    // An empty text passes everything.
    [[nodiscard]] static elisa::Result<Filter> compile(const std::string &text);
    [[nodiscard]] bool passes(std::span<const std::uint8_t> frame) const;

  private:
    struct Free {
        void operator()(bpf_program *program) const;
    };
    std::unique_ptr<bpf_program, Free> program_; // null: everything
};

} // namespace elisactl
