// SPDX-License-Identifier: Apache-2.0
// A manager's main loop.
#pragma once

#include "elisa/manager.hpp"

#include <atomic>
#include <chrono>
#include <span>
#include <string_view>
#include <thread>

namespace apps {

// What a manager does about its export's events. A refusal is an elisa_error with the reason that
// is logged here; the guest gets the code.
class Service {
  public:
    virtual ~Service() = default;

    // The image's arg for this attachment.
    [[nodiscard]] virtual elisa::Result<std::uint64_t> attach(elisa::AttachmentId id,
                                                              const elisa::AttachEvent &event) = 0;
    virtual void detach(elisa::AttachmentId id) = 0;
    virtual elisa::Result<void> region_add(elisa::AttachmentId id,
                                           const elisa::RegionAddEvent &event) = 0;
    virtual void region_del(elisa::AttachmentId id, const elisa::RegionDelEvent &event) = 0;
    // This process has taken the export over: these are attached. What else the export's memory
    // knows of, its predecessor did not bring to an end.
    virtual void recover(std::span<const elisa::Attached> attached) { static_cast<void>(attached); }
    // About every `ServeOptions::tick`.
    virtual void tick() {}
    // There is no event: what else there is to do, and sleep for `most` at the most.
    virtual void pause(std::chrono::microseconds most) { std::this_thread::sleep_for(most); }
};

struct ServeOptions {
    // End when the last attachment has gone.
    bool exit_when_idle = false;
    std::chrono::milliseconds tick{1000};
};

// Until `stop`, or as the options say.
[[nodiscard]] elisa::Result<void> serve(elisa::Export &served, Service &service,
                                        const std::atomic<bool> &stop, const ServeOptions &options);

} // namespace apps
