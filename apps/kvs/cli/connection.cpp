// SPDX-License-Identifier: Apache-2.0
#include "connection.hpp"

namespace kvs::cli {

void Connection::add_to(CLI::App &command)
{
    command.add_option("--export", export_name, "Name of the store's export")
        ->capture_default_str();
    command.add_option("--instance", instance, "Which of this guest's sessions, from 0")
        ->capture_default_str();
    command.add_option("--timeout", timeout, "Seconds to wait for the manager")
        ->capture_default_str();
    command.add_option("--socket", socket,
                       "Without VMs: where `kvs manager --backend direct` listens");
    command.add_option("--label", label, "With --socket: as which guest")->capture_default_str();
}

elisa::Result<Client> Connection::open() const
{
    if (!socket.empty()) {
        return Client::connect({.socket = socket, .label = label, .instance = instance});
    }
    return Client::attach({.export_name = export_name,
                           .instance = instance,
                           .timeout = std::chrono::milliseconds{static_cast<long>(timeout * 1e3)}});
}

} // namespace kvs::cli
