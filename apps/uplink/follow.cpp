// SPDX-License-Identifier: Apache-2.0
#include "follow.hpp"

#include <cstdio>

namespace uplink {

using elisa::Result;

void Links::complain(const std::string &message)
{
    if (message != complaint_) {
        complaint_ = message;
        std::fprintf(stderr, "elisa-uplink: %s\n", message.c_str());
    }
}

Result<void> Links::look()
{
    for (std::size_t i = 0; i < ends_.size(); ++i) {
        if (held_[i]) {
            continue;
        }
        End &end = *ends_[i];
        End &peer = *ends_[1 - i];
        const auto now = end.link();
        if (!now) {
            return now.error();
        }
        if (*now == up_[i]) {
            continue;
        }
        if (const auto shown = peer.hold_down(!*now); !shown) {
            complain(shown.error().message); // and try again at the next look
            continue;
        }
        complaint_.clear();
        up_[i] = *now;
        held_[1 - i] = !*now;
        ++changes_;
        std::fprintf(stderr, "elisa-uplink: %s: link %s, and so %s\n", end.name().c_str(),
                     *now ? "up" : "down", peer.name().c_str());
    }
    return {};
}

void Follower::take_back(const Settings &wanted)
{
    if (!last_) {
        return;
    }
    if (rte_is_same_ether_addr(&wanted.mac, &last_->mac) == 0) {
        static_cast<void>(interface_.set_mac(last_->mac));
    }
    if (wanted.mtu != last_->mtu) {
        static_cast<void>(interface_.set_mtu(last_->mtu));
    }
}

Result<void> Follower::look()
{
    const auto now = interface_.settings();
    if (!now) {
        return now.error();
    }
    if (last_ && *now == *last_) {
        return {};
    }
    if (const auto done = port_.follow(*now); !done) {
        std::fprintf(stderr, "elisa-uplink: the port cannot follow interface %s: %s\n",
                     interface_.name().c_str(), done.error().message.c_str());
        take_back(*now);
        static_cast<void>(last_ ? port_.follow(*last_) : elisa::Result<void>{});
        return {};
    }
    last_ = *now;
    return {};
}

} // namespace uplink
