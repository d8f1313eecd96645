// SPDX-License-Identifier: Apache-2.0
#include "guests.hpp"

#include "elisa/doorbell.hpp"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <sys/random.h>

namespace kvs {
namespace {

using elisa::Errc;
using elisa::make_error;
using elisa::Result;

Result<std::uint32_t> number(std::string_view text, std::string_view what, std::uint32_t most)
{
    std::uint32_t value = 0;
    const auto parsed = std::from_chars(text.data(), text.data() + text.size(), value);
    if (parsed.ec != std::errc{} || parsed.ptr != text.data() + text.size() || value > most) {
        return make_error(Errc::invalid, std::string{what} + " must be a number of at most " +
                                             std::to_string(most) + ", and is '" +
                                             std::string{text} + "'");
    }
    return value;
}

} // namespace

Result<GuestSpec> parse_guest(std::string_view text)
{
    GuestSpec spec;
    for (bool first = true; first || !text.empty(); first = false) {
        const std::size_t comma = std::min(text.find(','), text.size());
        const std::string_view part = text.substr(0, comma);
        text.remove_prefix(std::min(comma + 1, text.size()));
        const std::size_t equals = part.find('=');
        const std::string_view key = part.substr(0, equals);
        const std::string_view value = equals < part.size() ? part.substr(equals + 1) : "";
        if (first) {
            if (!elisa::doorbell::pack_name(part)) {
                return make_error(Errc::invalid,
                                  "--guest begins with a label (1 to 31 letters, digits, '-', '_', "
                                  "'.'), not with '" +
                                      std::string{part} + "'");
            }
            spec.label = part;
            spec.space = part;
        } else if (key == "namespace" && !value.empty()) {
            spec.space = value;
        } else if (key == "memory" || key == "sessions") {
            const bool memory = key == "memory";
            auto given = number(value, key, memory ? most_memory : KVS_MAX_PORTS);
            if (!given) {
                return given.error();
            }
            (memory ? spec.memory : spec.sessions) = *given;
        } else {
            return make_error(Errc::invalid,
                              "--guest " + spec.label + ": '" + std::string{part} +
                                  "' is none of namespace=NAME, memory=MIB, sessions=N");
        }
    }
    if (spec.sessions == 0) {
        return make_error(Errc::invalid, "--guest " + spec.label + ": sessions=0 admits nobody");
    }
    return spec;
}

Result<Guests> Guests::create(const std::vector<GuestSpec> &specs, std::uint64_t keys)
{
    Guests guests;
    for (const GuestSpec &spec : specs) {
        const auto known = std::ranges::find(guests.spaces_, spec.space);
        const auto space = static_cast<std::uint32_t>(known - guests.spaces_.begin());
        if (known == guests.spaces_.end()) {
            if (guests.spaces_.size() == KVS_MAX_PORTS) {
                return make_error(Errc::quota, "there are more than 64 namespaces");
            }
            guests.spaces_.push_back(spec.space);
            guests.layout_.keys[space] = keys;
        }
        for (std::uint32_t s = 0; s < spec.sessions; ++s) {
            if (guests.layout_.ports == KVS_MAX_PORTS) {
                return make_error(Errc::quota, "all guests together have more than " +
                                                   std::to_string(KVS_MAX_PORTS) + " sessions");
            }
            guests.layout_.port[guests.layout_.ports++] = {space, std::uint64_t{spec.memory} << 20};
            guests.owners_.push_back(spec.label);
        }
    }
    if (guests.owners_.empty()) {
        return make_error(Errc::invalid,
                          "nobody is admitted: give --guest LABEL, or --config with a [[guest]]");
    }
    if (::getrandom(guests.layout_.seed, sizeof(guests.layout_.seed), 0) !=
        sizeof(guests.layout_.seed)) {
        return elisa::errno_error(errno, "no random numbers");
    }
    return guests;
}

Result<PortId> Guests::port(std::string_view label, std::uint64_t session) const
{
    std::uint64_t seen = 0;
    for (std::uint32_t p = 0; p < owners_.size(); ++p) {
        if (owners_[p] == label && seen++ == session) {
            return PortId{p};
        }
    }
    if (seen == 0) {
        return make_error(Errc::refused,
                          "there is no --guest with the label '" + std::string{label} + "'");
    }
    return make_error(Errc::quota, "'" + std::string{label} + "' has " + std::to_string(seen) +
                                       " session(s), numbered from 0, and asks for number " +
                                       std::to_string(session) +
                                       " (raise 'sessions' of its --guest)");
}

} // namespace kvs
