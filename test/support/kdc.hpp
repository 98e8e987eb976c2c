// A Kerberos KDC on loopback (MIT), for one realm, in a folder that goes away with it. It knows
// principals and writes keytabs; it knows neither coati nor ZooKeeper.

#pragma once

#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace coati::test {

class kdc {
public:
    // Serves when this returns. Throws std::runtime_error, with the names of the Debian packages
    // when the programs are missing.
    kdc();
    ~kdc();
    kdc(const kdc&) = delete;
    kdc& operator=(const kdc&) = delete;

    static std::string realm() { return "COATI.TEST"; }
    // A new principal with a random key; the path of a keytab that holds it.
    std::string add(const std::string& principal);
    // Gives a principal another key: keytabs that exist are worthless then.
    void change_key(const std::string& principal);

    std::string config() const { return path("krb5.conf"); }  // for KRB5_CONFIG
    std::string path(const std::string& file) const { return (directory_ / file).string(); }

private:
    void write_config() const;
    void run(std::vector<std::string> command) const;
    void admin(const std::string& query) const;
    std::vector<std::string> environment() const;
    void start();
    void stop() noexcept;

    std::filesystem::path directory_;
    std::uint16_t port_ = 0;
    pid_t pid_ = -1;
    int keytabs_ = 0;
};

}  // namespace coati::test
