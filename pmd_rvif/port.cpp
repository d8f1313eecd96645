// SPDX-License-Identifier: Apache-2.0
// What all of the control path needs: calls of the switch, and what to say when one fails.
#include "port.hpp"

#include "control.hpp"
#include "control_call.hpp"
#include "rvs/names.h"

#include <rte_malloc.h>

namespace rvif {
int log_type;

void EalDelete::operator()(void *memory) const noexcept
{
    rte_free(memory);
}

void *eal_alloc(std::size_t bytes, int socket)
{
    return rte_zmalloc_socket("rvif", bytes, RVIF_LINE, socket);
}

std::string call_error(const Port &port, const char *what, const CallResult &result)
{
    std::string text = what;
    text += ": ";
    if (result.status != 0) {
        text += port.backend->explain(result.status);
    } else {
        text += rvif_error_text(static_cast<long>(result.value));
    }
    return text;
}

bool Port::switch_stats(rvif_port_stats &out, bool since_reset)
{
    return read_stats(RVIF_OP_STATS, 0, since_reset ? &stats_base : nullptr, out);
}

bool Port::switch_stats_of(std::uint16_t queue, rvif_port_stats &out, bool since_reset)
{
    return read_stats(RVIF_OP_QUEUE_STATS, queue, since_reset ? &queue_base[queue] : nullptr, out);
}

bool Port::read_stats(std::uint64_t op, std::uint64_t queue, const rvif_port_stats *base,
                      rvif_port_stats &out)
{
    const std::lock_guard lock{control};
    out = {};
    const auto address = addresses.address(stats_area.get(), sizeof(rvif_port_stats));
    if (!address || !control_call(*backend, op, *address, queue).ok()) {
        return false;
    }
    out = *stats_area;
    if (base != nullptr) {
        out.rx_frames -= base->rx_frames;
        out.rx_bytes -= base->rx_bytes;
        out.tx_frames -= base->tx_frames;
        out.tx_bytes -= base->tx_bytes;
        out.crossings -= base->crossings;
        for (std::size_t i = 0; i < std::size(out.drops); ++i) {
            out.drops[i] -= base->drops[i];
        }
    }
    return true;
}

bool Port::sources(const RxQueue &queue, rvif_sources &out)
{
    const CallResult result = backend->call(RVIF_OP_SOURCES, queue.sources_addr, 0, 0);
    if (!result.ok()) {
        return false;
    }
    out = *queue.sources;
    link.store(out.link != 0, std::memory_order_relaxed);
    return true;
}

bool call_ok(Port &port, const char *what, std::string &why, std::uint64_t op, std::uint64_t a1,
             std::uint64_t a2, std::int64_t *value)
{
    const CallResult result = control_call(*port.backend, op, a1, a2);
    if (!result.ok()) {
        why = call_error(port, what, result);
        return false;
    }
    if (value != nullptr) {
        *value = result.value;
    }
    return true;
}

bool where(const Port &port, const void *memory, std::size_t bytes, rvif_addr_t &out,
           std::string &why)
{
    const auto address = port.addresses.address(memory, bytes);
    if (!address) {
        why = "EAL's heap is not in memory that can be shared: run without --no-shconf, or with "
              "memfd support";
        return false;
    }
    out = *address;
    return true;
}

} // namespace rvif
