// SPDX-License-Identifier: Apache-2.0
#include "fixture.hpp"

#include <algorithm>
#include <memory>
#include <pcap/pcap.h>
#include <stdexcept>
#include <string_view>
#include <toml++/toml.h>

namespace rvs::test {

namespace {

namespace fs = std::filesystem;

[[noreturn]] void wrong(const fs::path &file, const std::string &what)
{
    throw std::runtime_error(file.string() + ": " + what);
}

std::uint64_t parse_mac(const fs::path &file, const std::string &text)
{
    unsigned b[6];
    char end = 0;
    if (std::sscanf(text.c_str(), "%2x:%2x:%2x:%2x:%2x:%2x%c", b, b + 1, b + 2, b + 3, b + 4, b + 5,
                    &end) != 6)
        wrong(file, "'" + text + "' is no MAC address");
    std::uint64_t mac = 0;
    for (std::size_t i = 0; i < 6; ++i)
        mac |= std::uint64_t{b[i]} << (8 * i);
    return mac;
}

struct Name {
    std::string_view name;
    std::uint32_t bit;
};
constexpr Name takes[] = {{"hash", RVIF_RXQ_HASH},
                          {"vlan", RVIF_RXQ_VLAN},
                          {"l4_none", RVIF_RXQ_L4_NONE},
                          {"tso", RVIF_RXQ_TSO}};
constexpr Name requests[] = {{"vlan", RVIF_TX_VLAN},
                             {"ip_csum", RVIF_TX_IP_CSUM},
                             {"l4_csum", RVIF_TX_L4_CSUM},
                             {"tso", RVIF_TX_TSO}};

class PortReader {
  public:
    PortReader(const fs::path &file, const toml::table &table) : file_{file}, table_{table} {}

    FixturePort read()
    {
        FixturePort port;
        for (const auto &[key, node] : table_) {
            if (std::find(std::begin(keys), std::end(keys), key.str()) == std::end(keys))
                wrong(file_, "a port has no key '" + std::string{key.str()} + "'");
        }
        PortOptions &o = port.options;
        if (const auto text = table_["mac"].value<std::string>())
            o.mac = parse_mac(file_, *text);
        std::size_t n = 0;
        for (const std::string &text : list<std::string>("macs")) {
            if (n == max_port_macs)
                wrong(file_, "too many macs");
            o.macs[n++] = parse_mac(file_, text);
            o.own_macs_only = true;
        }
        o.native_vlan = number("native");
        for (const std::int64_t id : list<std::int64_t>("trunk"))
            port.trunk.push_back(static_cast<std::uint16_t>(id));
        o.isolated = table_["isolated"].value_or(false);
        o.mac_limit = number("mac_limit");
        o.rate_bytes = number("rate");
        o.rate_burst = number("burst");
        o.storm_frames = number("storm");
        if (const auto down = list<std::int64_t>("down"); !down.empty()) {
            if (down.size() != 2 || down[0] < 1 || down[1] < down[0])
                wrong(file_, "down is the number of the first frame and that of the last");
            port.down_from = static_cast<std::uint32_t>(down[0]);
            port.down_to = static_cast<std::uint32_t>(down[1]);
        }
        if (table_["mirror"])
            o.mirror_to = PortId{number("mirror")};
        o.capture = table_["capture"].value_or(false);
        port.takes = bits("takes", takes);
        port.requests = bits("requests", requests);
        port.vlan = number("tci");
        port.segsz = number("segsz");
        if (const toml::table *drops = table_["drops"].as_table()) {
            for (const auto &[reason, count] : *drops)
                port.drops[std::string{reason.str()}] = count.value<std::uint64_t>().value_or(0);
        }
        return port;
    }

  private:
    static constexpr std::string_view keys[] = {
        "mac",  "macs",   "native",  "trunk", "isolated", "mac_limit", "rate",  "burst", "storm",
        "down", "mirror", "capture", "takes", "requests", "tci",       "segsz", "drops"};

    std::uint32_t number(std::string_view key) { return table_[key].value_or(std::uint32_t{0}); }
    template <typename T>
    std::vector<T> list(std::string_view key)
    {
        std::vector<T> all;
        if (const toml::array *array = table_[key].as_array()) {
            for (const toml::node &node : *array) {
                const auto value = node.value<T>();
                if (!value)
                    wrong(file_, std::string{key} + " has a value of another kind in it");
                all.push_back(*value);
            }
        }
        return all;
    }
    template <std::size_t N>
    std::uint32_t bits(std::string_view key, const Name (&names)[N])
    {
        std::uint32_t all = 0;
        for (const std::string &text : list<std::string>(key)) {
            const auto *found = std::find_if(std::begin(names), std::end(names),
                                             [&](const Name &n) { return n.name == text; });
            if (found == std::end(names))
                wrong(file_, std::string{key} + " knows no '" + text + "'");
            all |= found->bit;
        }
        return all;
    }

    const fs::path &file_;
    const toml::table &table_;
};

struct Captured {
    std::uint64_t at;
    Bytes bytes;
};

// Nothing, if there is no such file.
std::vector<Captured> read_capture(const fs::path &file)
{
    std::vector<Captured> all;
    if (!fs::exists(file))
        return all;
    char error[PCAP_ERRBUF_SIZE] = "";
    const std::unique_ptr<pcap_t, decltype(&pcap_close)> capture{
        pcap_open_offline_with_tstamp_precision(file.c_str(), PCAP_TSTAMP_PRECISION_NANO, error),
        &pcap_close};
    if (capture == nullptr)
        wrong(file, error);
    if (pcap_datalink(capture.get()) != DLT_EN10MB)
        wrong(file, "is no capture of Ethernet frames");
    pcap_pkthdr *header = nullptr;
    const u_char *data = nullptr;
    int result = 0;
    while ((result = pcap_next_ex(capture.get(), &header, &data)) == 1) {
        if (header->caplen != header->len)
            wrong(file, "has frames that are not whole");
        all.push_back({static_cast<std::uint64_t>(header->ts.tv_sec) * 1'000'000'000 +
                           static_cast<std::uint64_t>(header->ts.tv_usec),
                       Bytes(data, data + header->caplen)});
    }
    if (result != PCAP_ERROR_BREAK)
        wrong(file, pcap_geterr(capture.get()));
    return all;
}

} // namespace

Fixture read_fixture(const fs::path &folder)
{
    const fs::path file = folder / "ports.toml";
    Fixture fixture;
    try {
        const toml::table table = toml::parse_file(file.string());
        fixture.what = table["what"].value_or(std::string{});
        if (const toml::array *ports = table["port"].as_array()) {
            for (const toml::node &node : *ports) {
                if (!node.is_table())
                    wrong(file, "a port is [[port]]");
                fixture.ports.push_back(PortReader{file, *node.as_table()}.read());
            }
        }
    } catch (const toml::parse_error &error) {
        wrong(file, std::string{error.description()});
    }
    if (fixture.ports.empty())
        wrong(file, "has no [[port]]");
    for (std::uint32_t p = 0; p < fixture.ports.size(); ++p) {
        FixturePort &port = fixture.ports[p];
        port.options.trunk = port.trunk.data();
        port.options.trunk_count = port.trunk.size();
        const std::string n = std::to_string(p);
        for (Captured &c : read_capture(folder / ("in." + n + ".pcap")))
            fixture.in.push_back({c.at, p, std::move(c.bytes)});
        for (Captured &c : read_capture(folder / ("out." + n + ".pcap")))
            port.out.push_back(std::move(c.bytes));
    }
    std::stable_sort(fixture.in.begin(), fixture.in.end(),
                     [](const FixtureFrame &a, const FixtureFrame &b) { return a.at < b.at; });
    if (fixture.in.empty())
        wrong(folder, "nothing goes in");
    return fixture;
}

} // namespace rvs::test
