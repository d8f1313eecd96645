// SPDX-License-Identifier: Apache-2.0
#include "devargs.hpp"

#include "elisa_abi.h"
#include "rvs/rvif.h"

#include <cctype>
#include <charconv>
#include <cstring>
#include <memory>
#include <rte_kvargs.h>
#include <sys/un.h>

namespace rvif {
namespace {

constexpr const char *known[] = {"backend", "export", "socket", "instance",
                                 "mac",     "label",  nullptr};

constexpr std::size_t rvs_label_size = 32;

struct Kvargs {
    rte_kvargs *list;
    ~Kvargs() { rte_kvargs_free(list); }
};

// net_rvif3 -> 3: two ports of one VM are told apart without being told to.
std::uint64_t trailing_number(const std::string &name)
{
    std::size_t at = name.size();
    while (at > 0 && std::isdigit(static_cast<unsigned char>(name[at - 1])) != 0) {
        --at;
    }
    std::uint64_t number = 0;
    std::from_chars(name.data() + at, name.data() + name.size(), number);
    return number;
}

} // namespace

const char *const devargs_help =
    "backend=elisa|direct,export=<name>,socket=<path>,instance=<number>,mac=<xx:xx:xx:xx:xx:xx>,"
    "label=<name>";

std::optional<Config> parse_devargs(const char *device, const char *args, std::string &why)
{
    Config config;
    config.device = device;
    config.export_name = RVIF_EXPORT_NAME;
    config.instance = trailing_number(config.device);

    const Kvargs kvargs{rte_kvargs_parse(args == nullptr ? "" : args, nullptr)};
    if (kvargs.list == nullptr) {
        why = std::string{"cannot read the device arguments '"} + args + "': want " + devargs_help;
        return std::nullopt;
    }
    bool export_given = false;
    for (unsigned i = 0; i < kvargs.list->count; ++i) {
        const std::string key = kvargs.list->pairs[i].key;
        const char *raw = kvargs.list->pairs[i].value;
        const std::string value = raw == nullptr ? "" : raw;
        bool is_known = false;
        for (const char *const *name = known; *name != nullptr; ++name) {
            is_known = is_known || key == *name;
        }
        if (!is_known) {
            why = "unknown argument '" + key + "': want " + devargs_help;
            return std::nullopt;
        }
        if (rte_kvargs_count(kvargs.list, key.c_str()) > 1) {
            why = "argument '" + key + "' is given twice: give it once";
            return std::nullopt;
        }
        if (value.empty()) {
            why = "argument '" + key + "' has no value: want " + devargs_help;
            return std::nullopt;
        }
        if (key == "backend") {
            if (value == "elisa") {
                config.backend = BackendKind::elisa;
            } else if (value == "direct") {
                config.backend = BackendKind::direct;
            } else {
                why = "backend=" + value +
                      ": want backend=elisa (in a guest VM) or backend=direct (processes on one "
                      "host)";
                return std::nullopt;
            }
        } else if (key == "export") {
            if (value.size() >= ELISA_NAME_MAX) {
                why = "export=" + value + ": a name has at most " +
                      std::to_string(ELISA_NAME_MAX - 1) + " bytes";
                return std::nullopt;
            }
            config.export_name = value;
            export_given = true;
        } else if (key == "socket") {
            if (value.size() >= sizeof(sockaddr_un::sun_path)) {
                why = "socket=" + value + ": a path has at most " +
                      std::to_string(sizeof(sockaddr_un::sun_path) - 1) + " bytes";
                return std::nullopt;
            }
            config.socket = value;
        } else if (key == "label") {
            if (value.size() >= rvs_label_size) {
                why = "label=" + value + ": a label has at most " +
                      std::to_string(rvs_label_size - 1) + " bytes";
                return std::nullopt;
            }
            config.label = value;
        } else if (key == "instance") {
            const char *end = value.data() + value.size();
            const auto [at, error] = std::from_chars(value.data(), end, config.instance);
            if (error != std::errc{} || at != end) {
                why = "instance=" + value + ": want a number, such as instance=0";
                return std::nullopt;
            }
        } else {
            rte_ether_addr mac;
            if (rte_ether_unformat_addr(value.c_str(), &mac) != 0 ||
                rte_is_valid_assigned_ether_addr(&mac) == 0) {
                why = "mac=" + value + ": want a unicast address, such as mac=02:00:00:00:00:01";
                return std::nullopt;
            }
            config.mac = mac;
        }
    }
    if (config.backend == BackendKind::direct && config.socket.empty()) {
        why = "backend=direct needs socket=<path>, the one that the manager was started with";
        return std::nullopt;
    }
    if (config.backend == BackendKind::elisa && !config.socket.empty()) {
        why = "socket= is of backend=direct: say backend=direct, or leave socket= out";
        return std::nullopt;
    }
    if (config.backend == BackendKind::elisa && !config.label.empty()) {
        why = "label= is of backend=direct: a VM has the label that the host gave it";
        return std::nullopt;
    }
    if (config.backend == BackendKind::direct && export_given) {
        why = "export= is of backend=elisa: with backend=direct the socket names the switch";
        return std::nullopt;
    }
    return config;
}

} // namespace rvif
