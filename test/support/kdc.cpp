#include "kdc.hpp"

#include "port.hpp"
#include "process.hpp"

#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <system_error>
#include <thread>

namespace coati::test {

namespace fs = std::filesystem;

namespace {

// Servers live where an ordinary user's PATH does not lead.
std::string program(const std::string& name)
{
    for (const char* const folder : {"/usr/sbin/", "/usr/bin/"}) {
        if (::access((folder + name).c_str(), X_OK) == 0)
            return folder + name;
    }
    throw std::runtime_error("no " + name + ": on Debian it is in krb5-kdc or krb5-admin-server");
}

std::string content(const std::string& file)
{
    std::ostringstream text;
    text << std::ifstream(file).rdbuf();
    return text.str();
}

}  // namespace

kdc::kdc()
{
    std::string name = (fs::temp_directory_path() / "coati-kdc-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr)
        throw std::system_error(errno, std::generic_category(), name);
    directory_ = name;
    try {
        start();
    } catch (...) {
        stop();
        throw;
    }
}

kdc::~kdc()
{
    stop();
}

void kdc::stop() noexcept
{
    if (pid_ > 0) {
        ::kill(pid_, SIGKILL);
        ::waitpid(pid_, nullptr, 0);
    }
    std::error_code ignored;
    fs::remove_all(directory_, ignored);
}

void kdc::start()
{
    held_port port;
    port_ = port.number();
    write_config();
    run({program("kdb5_util"), "create", "-s", "-P", "master", "-r", realm()});
    port.release();
    spawn_options how;
    how.command = {program("krb5kdc"), "-n"};
    how.environment = environment();
    how.output_file = path("log");
    pid_ = spawn(how);
    for (int tries = 0; tries < 500; ++tries) {
        if (connect_loopback(port_, 1'000))
            return;
        if (::waitpid(pid_, nullptr, WNOHANG) != 0) {
            pid_ = -1;
            break;
        }
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    throw std::runtime_error("the KDC does not serve: " + content(path("log")));
}

void kdc::write_config() const
{
    const std::string at = "127.0.0.1:" + std::to_string(port_);
    // No name is looked up anywhere, and no other realm is known.
    std::ofstream(config()) << "[libdefaults]\n default_realm = " << realm()
                            << "\n dns_lookup_kdc = false\n dns_lookup_realm = false\n"
                               " dns_canonicalize_hostname = false\n rdns = false\n"
                               " udp_preference_limit = 1\n[realms]\n "
                            << realm() << " = {\n  kdc = " << at << "\n }\n";
    std::ofstream(path("kdc.conf"))
        << "[kdcdefaults]\n kdc_listen = " << at << "\n kdc_tcp_listen = " << at << "\n[realms]\n "
        << realm() << " = {\n  database_name = " << path("principal")
        << "\n  key_stash_file = " << path("stash") << "\n }\n";
}

std::vector<std::string> kdc::environment() const
{
    return {"KRB5_CONFIG=" + config(), "KRB5_KDC_PROFILE=" + path("kdc.conf")};
}

void kdc::run(std::vector<std::string> command) const
{
    spawn_options how;
    how.command = std::move(command);
    how.environment = environment();
    how.output_file = path("log");
    int status = 0;
    if (::waitpid(spawn(how), &status, 0) < 0 || exit_code(status) != 0)
        throw std::runtime_error(how.command[0] + " failed: " + content(path("log")));
}

void kdc::admin(const std::string& query) const
{
    run({program("kadmin.local"), "-q", query});
}

std::string kdc::add(const std::string& principal)
{
    const std::string keytab = path(std::to_string(++keytabs_) + ".keytab");
    admin("addprinc -randkey " + principal);
    admin("ktadd -k " + keytab + " " + principal);
    if (!fs::exists(keytab))
        throw std::runtime_error("no keytab for " + principal + ": " + content(path("log")));
    return keytab;
}

void kdc::change_key(const std::string& principal)
{
    admin("cpw -randkey " + principal);
}

}  // namespace coati::test
