// A CA of the test's own, and certificates by it, made by the openssl command in a folder that goes
// away with it. Plain files: knows neither coati nor OpenSSL's library.

#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace coati::test {

struct certificate_files {
    std::string certificate;
    std::string key;
    std::string both;  // the certificate, then the key: what a ZooKeeper server wants
};

struct certificate_options {
    std::string names = "DNS:localhost,IP:127.0.0.1";
    std::string subject = "/CN=server";
    int days = 30;  // negative: expired
    bool self_signed = false;
};

class certificates {
public:
    using options = certificate_options;

    certificates();
    ~certificates();
    certificates(const certificates&) = delete;
    certificates& operator=(const certificates&) = delete;

    std::string ca() const { return path("ca.pem"); }
    std::string other_ca() const { return path("other-ca.pem"); }  // has issued nothing
    certificate_files issue(const std::string& name, options how = {}) const;
    std::string encrypted_key(const certificate_files& of, const std::string& passphrase) const;
    std::string revoke(const certificate_files& what) const;  // the CA's list afterwards
    std::string path(const std::string& file) const { return (directory_ / file).string(); }

private:
    void make_ca(const std::string& name) const;
    void openssl(std::vector<std::string> arguments) const;

    std::filesystem::path directory_;
};

// What zoo.cfg needs for TLS with this identity, but for secureClientPort; clients need no
// certificate.
std::map<std::string, std::string> tls_server_settings(const certificates& all,
                                                       const certificate_files& identity);

// Made by whoever asks first, shared by all tests of this process.
const certificates& shared_certificates();

}  // namespace coati::test
