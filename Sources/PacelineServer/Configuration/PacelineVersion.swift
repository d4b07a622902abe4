/// The version that `--version`, the banner and INFO show.
package enum PacelineVersion {
  package static let current = "0.1.0"
}
