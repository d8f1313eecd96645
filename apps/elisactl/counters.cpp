// SPDX-License-Identifier: Apache-2.0
#include "counters.hpp"

#include <fmt/format.h>

namespace elisactl {

std::string short_number(double value)
{
    constexpr const char *units[] = {"", "k", "M", "G", "T"};
    std::size_t unit = 0;
    while (value >= 1000 && unit + 1 < std::size(units)) {
        value /= 1000;
        ++unit;
    }
    return unit == 0 ? fmt::format("{:.0f}", value) : fmt::format("{:.2f}{}", value, units[unit]);
}

double more(const Json &now, const Json &before, const std::string &key)
{
    const auto a = before.is_object() ? before.value(key, std::uint64_t{0}) : 0;
    const auto b = now.value(key, std::uint64_t{0});
    return static_cast<double>(b >= a ? b - a : b);
}

Json ratio(double counted, double by)
{
    return by > 0 ? Json(counted / by) : Json(nullptr);
}

std::string ratio_text(const Json &ratio)
{
    return ratio.is_null() ? "-" : fmt::format("{:.1f}", ratio.get<double>());
}

} // namespace elisactl
