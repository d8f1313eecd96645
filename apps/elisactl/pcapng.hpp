// SPDX-License-Identifier: Apache-2.0
// A file that tshark and Wireshark read: pcapng (IETF draft-ietf-opsawg-pcapng), one interface.
#pragma once

#include "elisa/error.hpp"

#include <cstdint>
#include <cstdio>
#include <memory>
#include <span>
#include <string>

namespace elisactl {

class Pcapng {
  public:
    // "-": standard output.
    [[nodiscard]] static elisa::Result<Pcapng> create(const std::string &path,
                                                      const std::string &interface);

    // sent: by the interface; else received.
    elisa::Result<void> frame(std::uint64_t time_ns, bool sent,
                              std::span<const std::uint8_t> bytes);
    // What was written so far is to be seen by whoever reads the file.
    elisa::Result<void> flush();
    // The end: how many came, how many were lost on the way here.
    elisa::Result<void> finish(std::uint64_t time_ns, std::uint64_t received, std::uint64_t lost);

  private:
    struct Close {
        void operator()(std::FILE *file) const
        {
            if (file != stdout) {
                std::fclose(file);
            }
        }
    };
    elisa::Result<void> block(std::uint32_t type, const std::string &body);

    std::unique_ptr<std::FILE, Close> file_;
    std::string path_;
};

} // namespace elisactl
