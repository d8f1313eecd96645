// SPDX-License-Identifier: Apache-2.0
#include "console.hpp"

#include <algorithm>
#include <ctime>
#include <poll.h>

namespace vmnet {

elisa::Result<void> Console::open(const std::string &control, control::About about,
                                  rvs::Switch &rvs_switch, Ports &ports,
                                  std::span<std::byte> capture_memory)
{
    capture_.emplace(rvs_switch, capture_memory);
    reloader_.emplace(about.config, ports, journal);
    if (control != "none") {
        auto listener = control::Listener::open("unix:" + control);
        if (!listener) {
            auto error = std::move(listener).error();
            error.message += " (--control PATH, or --control none)";
            return error;
        }
        control_ = std::make_unique<control::Server>(std::move(*listener), about, rvs_switch, ports,
                                                     *capture_, *reloader_, journal);
    }
    if (const std::string &address = ports.config().metrics; !address.empty()) {
        auto listener = control::Listener::open(address);
        if (!listener) {
            return listener.error();
        }
        metrics_ = std::make_unique<Metrics>(std::move(*listener), about.backend, ports, *capture_);
    }
    return {};
}

void Console::wait(std::span<pollfd> others, std::chrono::microseconds most)
{
    std::vector<pollfd> fds(others.begin(), others.end());
    if (control_ != nullptr) {
        control_->wait_for(fds);
        if (control_->in_a_hurry()) {
            most = std::min(most, std::chrono::microseconds{500});
        }
    }
    if (metrics_ != nullptr) {
        metrics_->wait_for(fds);
    }
    const timespec time{.tv_sec = most.count() / 1'000'000,
                        .tv_nsec = most.count() % 1'000'000 * 1000};
    ::ppoll(fds.data(), fds.size(), &time, nullptr);
    std::copy_n(fds.begin(), others.size(), others.begin());
}

void Console::work()
{
    if (control_ != nullptr) {
        control_->work();
    }
    if (metrics_ != nullptr) {
        metrics_->work();
    }
}

void Console::reload()
{
    static_cast<void>(reloader_->reload()); // the journal has what came of it
}

} // namespace vmnet
