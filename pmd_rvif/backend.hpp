// SPDX-License-Identifier: Apache-2.0
// What differs between the real thing and direct mapping: how a port is had, how the switch gets to
// see its memory, and how the switch is called. Nothing else in the driver knows which it is.
#pragma once

#include "memory.hpp"

#include <cstdint>
#include <memory>
#include <span>
#include <string>

namespace rvif {

// status != 0: the call was cut short (an interrupt, the image crashed, the export is gone); how
// far it came is unknown. Otherwise value is what the switch answered: >= 0, or a negative
// rvif_error.
struct CallResult {
    std::int64_t status;
    std::int64_t value;

    [[nodiscard]] bool ok() const noexcept { return status == 0 && value >= 0; }
};

class Backend {
  public:
    virtual ~Backend() = default;

    // Memory laid end to end as one region of this port; returns its index in rvif addresses, or -1
    // and why.
    virtual int add_region(std::span<const Segment> segments, std::string &why) = 0;
    virtual void remove_region(int index) = 0;

    // From any thread. The one hot function; called once a burst.
    virtual CallResult call(std::uint64_t op, std::uint64_t a1, std::uint64_t a2,
                            std::uint64_t a3) noexcept = 0;

    // False once the switch is out of reach for good.
    [[nodiscard]] virtual bool alive() const noexcept = 0;
    // What became of the last call that was cut short, for a log line.
    [[nodiscard]] virtual std::string explain(std::int64_t status) const = 0;
};

struct Config;

// Attach to the switch; nullptr and a sentence that says what to do about it.
std::unique_ptr<Backend> attach_direct(const Config &config, std::string &why);
std::unique_ptr<Backend> attach_elisa(const Config &config, std::string &why);

} // namespace rvif
