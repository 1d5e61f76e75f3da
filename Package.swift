// swift-tools-version: 6.2
import PackageDescription

let swift: [SwiftSetting] = [
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("InternalImportsByDefault"),
  .enableUpcomingFeature("MemberImportVisibility"),
  .treatAllWarnings(as: .error),
]
let c: [CSetting] = [.treatAllWarnings(as: .error)]

let argumentParser = Target.Dependency.product(
  name: "ArgumentParser", package: "swift-argument-parser")
let log = Target.Dependency.product(name: "Logging", package: "swift-log")
let protobuf = Target.Dependency.product(name: "SwiftProtobuf", package: "swift-protobuf")

let package = Package(
  name: "keel",
  products: [
    .library(name: "Keel", targets: ["Keel"]),
    .executable(name: "keel", targets: ["KeelCommand"]),
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.5.0"),
    .package(url: "https://github.com/apple/swift-log", from: "1.6.0"),
    .package(url: "https://github.com/apple/swift-protobuf", from: "1.39.0"),
  ],
  targets: [
    // Kernels and C: hot loops and thin shims, no policy.
    .target(name: "KeelKernels", path: "Kernels", cSettings: c),
    .target(name: "COpenCL", cSettings: c, linkerSettings: [.linkedLibrary("dl")]),
    .target(name: "COneDNN", cSettings: c, linkerSettings: [.linkedLibrary("dnnl")]),
    .target(name: "CKeelLoops", cSettings: c, linkerSettings: [.linkedLibrary("m")]),
    .target(name: "CCurl", cSettings: c, linkerSettings: [.linkedLibrary("dl")]),
    .systemLibrary(name: "CZlib", providers: [.apt(["zlib1g-dev"])]),
    .systemLibrary(name: "CPNG", providers: [.apt(["libpng-dev"])]),

    // Floor 1: the contract.
    .target(name: "KeelBackend", swiftSettings: swift),

    // What event files hold, generated: beside the floors, under rules of its own.
    .target(
      name: "KeelEventMessages", dependencies: [protobuf], exclude: ["events.proto"],
      swiftSettings: [
        .enableUpcomingFeature("InternalImportsByDefault"), .treatAllWarnings(as: .error),
      ]),

    // Pages and plots of results; beside the floors, since all that print need it.
    .target(name: "KeelReport", dependencies: ["KeelBackend"], swiftSettings: swift),

    // Floor 2: devices and autograd. Neither knows the other.
    .target(
      name: "KeelCPU", dependencies: ["KeelBackend", "CKeelLoops", "COneDNN"],
      swiftSettings: swift),
    .target(
      name: "KeelOpenCL", dependencies: ["KeelBackend", "COpenCL", "KeelKernels", log],
      swiftSettings: swift),
    .target(name: "KeelAutograd", dependencies: ["KeelBackend"], swiftSettings: swift),

    // Floor 3: networks, data, cases.
    .target(
      name: "KeelNN", dependencies: ["KeelBackend", "KeelAutograd"], swiftSettings: swift),
    .target(
      name: "KeelData", dependencies: ["KeelBackend", "CCurl", "CZlib", "CPNG"],
      swiftSettings: swift),
    .target(
      name: "KeelCases", dependencies: ["KeelBackend", "KeelAutograd"], swiftSettings: swift),

    // Floor 4: what keeps training upright. Floor 5: training.
    .target(
      name: "KeelStability", dependencies: ["KeelBackend", "KeelAutograd", "KeelNN", "KeelData"],
      swiftSettings: swift),
    .target(
      name: "KeelTraining",
      dependencies: [
        "KeelBackend", "KeelAutograd", "KeelNN", "KeelData", "KeelReport", "KeelStability",
        "KeelEventMessages", log, protobuf,
      ],
      swiftSettings: swift),

    // Floor 6: the umbrella, the only importer of both devices.
    .target(
      name: "Keel",
      dependencies: [
        "KeelBackend", "KeelCPU", "KeelOpenCL", "KeelAutograd", "KeelNN", "KeelData",
        "KeelStability", "KeelTraining",
      ],
      swiftSettings: swift),

    // Floor 7: the explosion lab and the studies, the benchmark harness, the command line.
    .target(
      name: "KeelStudies",
      dependencies: [
        "Keel", "KeelBackend", "KeelAutograd", "KeelNN", "KeelData", "KeelReport",
        "KeelStability", "KeelTraining",
      ],
      swiftSettings: swift),
    .target(
      name: "KeelBenchmarks",
      dependencies: [
        "Keel", "KeelBackend", "KeelAutograd", "KeelNN", "KeelStability", "KeelCases",
      ],
      path: "Benchmarks", exclude: ["Baselines", "Peers"], swiftSettings: swift),
    .executableTarget(
      name: "KeelCommand",
      dependencies: [
        "Keel", "KeelBackend", "KeelAutograd", "KeelNN", "KeelData", "KeelStability",
        "KeelTraining", "KeelCases", "KeelCPU", "KeelOpenCL", "KeelReport", "KeelStudies",
        "KeelBenchmarks",
        argumentParser, log,
      ],
      swiftSettings: swift),

    .testTarget(name: "KeelBackendTests", dependencies: ["KeelBackend"], swiftSettings: swift),
    .testTarget(
      name: "KeelAutogradTests", dependencies: ["KeelAutograd", "KeelBackend"],
      swiftSettings: swift),
    .testTarget(
      name: "KeelDataTests", dependencies: ["KeelData", "KeelBackend"], swiftSettings: swift),
    .testTarget(
      name: "KeelCPUTests", dependencies: ["KeelCPU", "KeelBackend"], swiftSettings: swift),
    .testTarget(
      name: "KeelOpenCLTests", dependencies: ["KeelOpenCL", "KeelBackend"], swiftSettings: swift),
    .testTarget(
      name: "KeelNNTests", dependencies: ["Keel", "KeelNN", "KeelAutograd", "KeelBackend"],
      swiftSettings: swift),
    .testTarget(
      name: "KeelStabilityTests",
      dependencies: [
        "Keel", "KeelStability", "KeelNN", "KeelData", "KeelAutograd", "KeelBackend", "KeelCPU",
        "KeelOpenCL",
      ],
      swiftSettings: swift),
    .testTarget(
      name: "KeelTrainingTests",
      dependencies: [
        "Keel", "KeelTraining", "KeelStability", "KeelNN", "KeelData", "KeelAutograd",
        "KeelBackend", "KeelCPU", "KeelOpenCL",
      ],
      swiftSettings: swift),
    .testTarget(
      name: "KeelCasesTests",
      dependencies: ["KeelCases", "KeelBackend", "KeelAutograd", "KeelCPU", "KeelOpenCL", "Keel"],
      swiftSettings: swift),
    .testTarget(
      name: "KeelReportTests", dependencies: ["KeelReport", "KeelBackend"], swiftSettings: swift),
    .testTarget(
      name: "KeelStudiesTests",
      dependencies: [
        "Keel", "KeelStudies", "KeelStability", "KeelNN", "KeelData", "KeelBackend",
      ],
      swiftSettings: swift),
    .testTarget(name: "KeelTests", dependencies: ["Keel"], swiftSettings: swift),
    .testTarget(
      name: "KeelCommandTests", dependencies: ["KeelCommand", "KeelData"], swiftSettings: swift),
    .testTarget(
      name: "HouseTests", dependencies: ["KeelBackend", "KeelCases"], swiftSettings: swift),
  ],
  swiftLanguageModes: [.v6],
  cLanguageStandard: .c17
)
