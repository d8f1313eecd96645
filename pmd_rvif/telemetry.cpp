// SPDX-License-Identifier: Apache-2.0
// /net_rvif/info,PORT for dpdk-telemetry. Counters are under /ethdev.
#include "control.hpp"
#include "control_call.hpp"

#include <cstdlib>
#include <cstring>
#include <rte_telemetry.h>

namespace rvif {
namespace {

int info(const char *, const char *parameters, rte_tel_data *out)
{
    char *end = nullptr;
    const unsigned long id =
        parameters == nullptr ? RTE_MAX_ETHPORTS : std::strtoul(parameters, &end, 10);
    if (id >= RTE_MAX_ETHPORTS || end == parameters ||
        rte_eth_dev_is_valid_port(static_cast<std::uint16_t>(id)) == 0) {
        return -EINVAL;
    }
    rte_eth_dev &dev = rte_eth_devices[id];
    if (std::strncmp(dev.data->name, "net_rvif", 8) != 0) {
        return -ENODEV;
    }
    Port &port = port_of(&dev);
    const CallResult hello = control_call(*port.backend, RVIF_OP_INFO);
    rte_tel_data_start_dict(out);
    rte_tel_data_add_dict_string(out, "backend",
                                 port.config.backend == BackendKind::direct ? "direct" : "elisa");
    rte_tel_data_add_dict_string(
        out, port.config.backend == BackendKind::direct ? "socket" : "export",
        port.config.backend == BackendKind::direct ? port.config.socket.c_str()
                                                   : port.config.export_name.c_str());
    rte_tel_data_add_dict_u64(out, "rvif_version",
                              hello.ok() ? static_cast<std::uint64_t>(hello.value) >> 32 : 0);
    rte_tel_data_add_dict_int(out, "switch_port",
                              hello.ok() ? static_cast<int>(hello.value & 0xffffffff) : -1);
    rte_tel_data_add_dict_int(out, "reachable", hello.ok() ? 1 : 0);
    rte_tel_data_add_dict_u64(out, "regions", port.regions.size());
    std::uint64_t lanes = 0;
    for (const auto &queue : port.rx) {
        lanes += queue != nullptr ? queue->live_count : 0;
    }
    rte_tel_data_add_dict_u64(out, "lanes", lanes);
    return 0;
}

} // namespace

void telemetry_register()
{
    rte_telemetry_register_cmd("/net_rvif/info", info,
                               "The switch that a net_rvif port is of. Parameters: int port_id");
}

} // namespace rvif
