// What becomes of ephemerals and watches in each failure, as the documentation says it: the table
// in docs/explanation/failure-semantics.md is the data of the tests that hold it, so that neither
// can change alone.

#pragma once

#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

namespace coati::test {

/// One row: a cell by the heading of its column. "kept, fired" is what becomes of a watch on a
/// znode that did not change meanwhile, and of one that did.
using fates = std::map<std::string, std::string>;

/// The cells of a line of a Markdown table; none for another line.
inline std::vector<std::string> cells_of(const std::string& line)
{
    std::vector<std::string> cells;
    std::istringstream in(line);
    std::string cell;
    if (!std::getline(in, cell, '|') || !cell.empty()) {
        return cells;
    }
    while (std::getline(in, cell, '|')) {
        const auto begin = cell.find_first_not_of(' ');
        const auto end = cell.find_last_not_of(' ');
        cells.push_back(begin == std::string::npos ? "" : cell.substr(begin, end - begin + 1));
    }
    return cells;
}

/// The whole table, by the failures. Throws where the page has none.
inline std::map<std::string, fates> fate_table(const std::filesystem::path& test_folder)
{
    std::ifstream page(test_folder.parent_path() / "docs/explanation/failure-semantics.md");
    std::map<std::string, fates> table;
    std::vector<std::string> heads;
    for (std::string line; std::getline(page, line);) {
        const auto cells = cells_of(line);
        if (heads.empty()) {
            if (!cells.empty() && cells.front() == "failure") {
                heads = cells;
            }
            continue;
        }
        if (cells.empty()) {
            return table;
        }
        if (cells.size() != heads.size()) {
            throw std::runtime_error("the table of fates has a broken line: " + line);
        }
        if (!cells.front().starts_with("--")) {
            fates& row = table[cells.front()];
            for (std::size_t i = 1; i < cells.size(); ++i) {
                row[heads[i]] = cells[i];
            }
        }
    }
    throw std::runtime_error("docs/explanation/failure-semantics.md has no table of fates");
}

/// A row in one text, to be compared with another one.
inline std::string in_words(const fates& row)
{
    std::string all;
    for (const auto& [what, fate] : row) {
        all += what + ": " + fate + "\n";
    }
    return all;
}

/// A row of the page, in one text. Throws where it has no such row.
inline std::string documented(const std::filesystem::path& test_folder, const std::string& failure)
{
    const auto table = fate_table(test_folder);
    const auto row = table.find(failure);
    if (row == table.end()) {
        throw std::runtime_error("the table of fates has no row \"" + failure + "\"");
    }
    return in_words(row->second);
}

/// What a test saw of two watches, as the table writes it.
inline std::string fate_of_both(const std::string& unchanged, const std::string& changed)
{
    return unchanged == changed ? unchanged : unchanged + ", " + changed;
}

}  // namespace coati::test
