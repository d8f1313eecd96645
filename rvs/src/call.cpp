// SPDX-License-Identifier: Apache-2.0
// The way in from guests.
#include "core.hpp"

namespace rvs {

std::int64_t Switch::call(PortId self, std::uint64_t op, std::uint64_t a1, std::uint64_t a2,
                          std::uint64_t a3, std::uint32_t cpu)
{
    auto &core = static_cast<Core &>(*this);
    const auto index = static_cast<std::uint32_t>(self);
    if (index >= RVIF_MAX_PORTS)
        return -RVIF_E_STATE;
    Port &port = core.ports[index];
    if (!port.open.load(std::memory_order_acquire))
        return -RVIF_E_STATE;
    if (op == RVIF_OP_TX) [[likely]]
        return core.transmit(cpu, index, a1, a2, a3);

    // The port's own CPUs alone write this, but several may at once.
    port.control_calls.fetch_add(1, std::memory_order_relaxed);
    switch (op) {
    case RVIF_OP_INFO:
        return std::int64_t{RVIF_VERSION} << 32 | index;
    case RVIF_OP_TX_SETUP:
        return core.tx_setup(cpu, index, a1, a2);
    case RVIF_OP_RX_SETUP:
        return core.rx_setup(cpu, index, a1, a2);
    case RVIF_OP_START:
        return core.start(cpu, index);
    case RVIF_OP_STOP:
        return core.stop(cpu, index);
    case RVIF_OP_SOURCES:
        return core.sources(index, a1);
    case RVIF_OP_SET_MAC:
        return core.set_mac(cpu, index, a1);
    case RVIF_OP_STATS:
        return core.stats(index, a1);
    case RVIF_OP_RX_MODE:
        return core.rx_mode(index, a1);
    case RVIF_OP_RSS:
        return core.rss(cpu, index, a1);
    case RVIF_OP_RECOVER:
        return core.recover(cpu, index, a1, a2);
    case RVIF_OP_QUEUE_STATS:
        return core.queue_stats(index, a1, a2);
    case RVIF_OP_MAC:
        return static_cast<std::int64_t>(port.mac_given());
    default:
        return -RVIF_E_OP;
    }
}

} // namespace rvs
