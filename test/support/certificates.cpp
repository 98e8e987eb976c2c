#include "certificates.hpp"

#include "process.hpp"

#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <system_error>

namespace coati::test {

namespace fs = std::filesystem;

namespace {

const std::vector<std::string> new_key{"-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
                                       "-nodes"};

std::string content(const std::string& file)
{
    std::ostringstream text;
    text << std::ifstream(file).rdbuf();
    return text.str();
}

void append(std::vector<std::string>& to, const std::vector<std::string>& what)
{
    to.insert(to.end(), what.begin(), what.end());
}

}  // namespace

certificates::certificates()
{
    std::string name = (fs::temp_directory_path() / "coati-certificates-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr)
        throw std::system_error(errno, std::generic_category(), name);
    directory_ = name;
    make_ca("ca");
    make_ca("other-ca");
}

certificates::~certificates()
{
    std::error_code ignored;
    fs::remove_all(directory_, ignored);
}

void certificates::make_ca(const std::string& name) const
{
    std::vector<std::string> request{"req", "-x509", "-subj", "/CN=coati test " + name};
    append(request, new_key);
    append(request, {"-keyout", path(name + ".key"), "-out", path(name + ".pem"), "-days", "30"});
    openssl(request);
}

certificate_files certificates::issue(const std::string& name, options how) const
{
    certificate_files made{path(name + ".pem"), path(name + ".key"), path(name + ".both.pem")};
    std::vector<std::string> request{"req", "-subj", how.subject, "-keyout", made.key};
    append(request, new_key);
    if (how.self_signed) {
        append(request, {"-x509", "-out", made.certificate, "-days", std::to_string(how.days),
                         "-addext", "subjectAltName=" + how.names});
        openssl(request);
    } else {
        append(request, {"-out", path(name + ".csr")});
        openssl(request);
        std::ofstream(path(name + ".ext")) << "subjectAltName=" << how.names << '\n';
        openssl({"x509", "-req", "-in", path(name + ".csr"), "-CA", ca(), "-CAkey", path("ca.key"),
                 "-CAcreateserial", "-days", std::to_string(how.days), "-extfile",
                 path(name + ".ext"), "-out", made.certificate});
    }
    std::ofstream(made.both) << content(made.certificate) << content(made.key);
    return made;
}

std::string certificates::encrypted_key(const certificate_files& of,
                                        const std::string& passphrase) const
{
    std::string made = of.key + ".encrypted";
    openssl({"pkcs8", "-topk8", "-in", of.key, "-out", made, "-passout", "pass:" + passphrase});
    return made;
}

std::string certificates::revoke(const certificate_files& what) const
{
    std::ofstream(path("ca.cnf")) << "[ca]\ndefault_ca = own\n[own]\ndatabase = "
                                  << path("index.txt")
                                  << "\ndefault_md = sha256\ndefault_crl_days = 30\n";
    std::ofstream(path("index.txt"), std::ios::app).flush();
    const std::vector<std::string> by_ca{"ca", "-config",  path("ca.cnf"), "-cert",
                                         ca(), "-keyfile", path("ca.key")};
    std::vector<std::string> revoked = by_ca;
    append(revoked, {"-revoke", what.certificate});
    openssl(revoked);
    std::vector<std::string> list = by_ca;
    append(list, {"-gencrl", "-out", path("ca.crl")});
    openssl(list);
    return path("ca.crl");
}

void certificates::openssl(std::vector<std::string> arguments) const
{
    spawn_options child;
    child.command = {"openssl"};
    append(child.command, arguments);
    child.working_directory = directory_.string();
    child.output_file = path("openssl.log");
    const pid_t pid = spawn(child);
    int status = 0;
    while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {}
    if (exit_code(status) != 0)
        throw std::runtime_error("openssl " + arguments.front() + " failed:\n" +
                                 content(child.output_file));
}

std::map<std::string, std::string> tls_server_settings(const certificates& all,
                                                       const certificate_files& identity)
{
    return {
        {"serverCnxnFactory", "org.apache.zookeeper.server.NettyServerCnxnFactory"},
        {"secureClientPortAddress", "127.0.0.1"},
        {"ssl.keyStore.location", identity.both},
        {"ssl.keyStore.type", "PEM"},
        {"ssl.trustStore.location", all.ca()},
        {"ssl.trustStore.type", "PEM"},
        {"ssl.clientAuth", "want"},
        {"authProvider.x509", "org.apache.zookeeper.server.auth.X509AuthenticationProvider"},
    };
}

const certificates& shared_certificates()
{
    static const certificates shared;
    return shared;
}

}  // namespace coati::test
