// SPDX-License-Identifier: Apache-2.0
// A port's buffers come back when they are in no other hand.
#include "control.hpp"
#include "control_call.hpp"

namespace rvif {

bool drain(Port &port, std::string &why)
{
    const Stopped stopped = stop_port(*port.backend);
    port.undrained = !stopped.quiet;
    if (port.undrained) {
        why = "buffers of ours may still be written to: ";
        why += stopped.last.status == 0 ? "a peer has stopped inside the switch, resume or kill it"
                                        : call_error(port, "stop", stopped.last);
        return false;
    }
    if (!stopped.last.ok()) {
        RVIF_LOG(WARNING, "%s\n", call_error(port, "stop", stopped.last).c_str());
    }
    for (auto &queue : port.rx) {
        if (queue != nullptr) {
            rx_release_buffers(*queue);
        }
    }
    return true;
}

void give_up(std::unique_ptr<RxQueue> &queue, const std::string &why)
{
    RVIF_LOG(ERR, "%s; those of rx queue %u are given up\n", why.c_str(), queue->index);
    static_cast<void>(queue.release());
}

} // namespace rvif
