import FoundationEssentials
import Keel
import KeelBackend
import KeelData
import KeelOpenCL
import KeelTraining

/// The parent's side of `keel tune`: hands candidates to a worker, within the budget, and writes
/// what it learns after every shape.
final class TuningSession {
  private let backend: OpenCLBackend
  private let path: String
  private var database: TuningDatabase
  private let patience: Double
  private let isVerbose: Bool
  private let planted: [TuningRequest.Fault]
  private let worker: WorkerProcess
  private let stop = Interrupt.catching()
  private let clock = ContinuousClock()
  private var deadline: ContinuousClock.Instant
  private var (refused, tuned, kept) = (0, 0, 0)

  init(
    backend: OpenCLBackend, path: String, database: TuningDatabase, patience: Double,
    isVerbose: Bool, planted: [TuningRequest.Fault]
  ) {
    self.backend = backend
    self.path = path
    self.database = database
    self.patience = patience
    self.isVerbose = isVerbose
    self.planted = planted
    worker = WorkerProcess(device: backend.info.selector)
    deadline = clock.now
  }

  /// Why the work on a shape ended early.
  private enum End: Error {
    case budget
    /// The planning function's own choice is refused.
    case defaultRefused(String)
  }

  /// Tunes until all is done or the time is up.
  func run(_ subjects: [TuningSubject], seconds: Double) throws {
    let start = clock.now
    deadline = start + .seconds(seconds)
    let queue = inOrder(subjects)
    let progress = ProgressLine(total: queue.count, label: "tuning")
    defer { progress.clear() }
    for (index, subject) in queue.enumerated() {
      progress.advance("\(subject)")
      do throws(End) {
        let share = self.seconds(until: deadline) / Double(queue.count - index)
        let entry = try tune(subject, seconds: share, progress)
        progress.print("\(subject): \(text(entry))")
        database.insert(entry)
      } catch {
        guard case .defaultRefused(let reason) = error else { break }
        progress.print("\(subject): left alone, since the default \(reason)")
        continue
      }
      try DataFile.write(try database.encoded(), to: path)
    }
    progress.clear()
    let taken = (seconds - self.seconds(until: deadline)).fixed(1)
    print(
      "\(tuned + kept) of \(queue.count) shape classes in \(taken) s: \(tuned) tuned, "
        + "\(kept) stay with the default; \(refused) candidates refused")
    if tuned + kept > 0 { print("written to \(path)") }
    if stop.isRequested { throw ExitStatus(code: 130) }
  }

  /// One subject for each shape class: those without a result first, then the oldest.
  private func inOrder(_ subjects: [TuningSubject]) -> [TuningSubject] {
    var seen: Set<TuningDatabase.Key> = []
    return subjects.map { ($0, key($0)) }.filter { seen.insert($0.1).inserted }
      .enumerated().sorted { left, right in
        let dates = [left, right].map { database.entries[$0.element.1]?.date ?? "" }
        return (dates[0], left.offset) < (dates[1], right.offset)
      }.map(\.element.0)
  }

  private func key(_ subject: TuningSubject) -> TuningDatabase.Key {
    TuningDatabase.Key(subject, on: backend.info, isCPUClass: backend.isCPUClass)
  }

  /// Rounds of candidates, then the best against the default once more with many samples.
  private func tune(
    _ subject: TuningSubject, seconds: Double, _ progress: ProgressLine
  ) throws(End) -> TuningDatabase.Entry {
    let candidates = TuningCandidates(
      subject, isCPUClass: backend.isCPUClass, limits: backend.limits)
    let formula = candidates.formula
    if case .refused(let reason) = try measure(
      TuningRequest(subject, plan: nil, checks: true, seconds: 0), formula, progress)
    {
      throw .defaultRefused(reason)
    }
    for fault in planted {
      let request = TuningRequest(subject, plan: nil, fault: fault, checks: true, seconds: 1)
      _ = try measure(request, nil, progress)
    }
    // A dozen candidates and the last comparisons share the time.
    let each = min(0.5, seconds / 16)
    let race = try explore(candidates, subject, seconds: each, progress)
    if let leader = race.leader, leader.plan != race.remembered?.plan,
      let times = try confirmed(leader.plan, subject, seconds: 2 * each, progress)
    {
      return entry(subject, leader.plan, times)
    }
    if let remembered = race.remembered {
      return entry(subject, remembered.plan, remembered.times)
    }
    if let standard = race.standard { return entry(subject, nil, standard) }
    // There was nothing to compare with.
    let request = TuningRequest(subject, plan: nil, checks: false, seconds: each)
    switch try measure(request, formula, progress) {
    case .times(let times): return entry(subject, nil, times.unchanged)
    case .refused(let reason): throw .defaultRefused(reason)
    }
  }

  /// The best of many is lucky too: it must hold its gain twice, in times of its own.
  private func confirmed(
    _ plan: TunedPlan, _ subject: TuningSubject, seconds: Double, _ progress: ProgressLine
  ) throws(End) -> TuningComparison? {
    var last: TuningComparison?
    for _ in 0..<2 {
      let request = TuningRequest(
        subject, plan: plan.parameters, checks: false, seconds: seconds)
      guard case .times(let new) = try measure(request, plan, progress), new.isBetter else {
        return nil
      }
      last = new
    }
    return last
  }

  /// The candidates' times against the default's.
  private func explore(
    _ candidates: TuningCandidates, _ subject: TuningSubject, seconds: Double,
    _ progress: ProgressLine
  ) throws(End) -> TuningRace {
    let formula = candidates.formula
    var race = TuningRace()
    var tried: Set<TunedPlan> = [formula]
    func times(_ plan: TunedPlan) throws(End) -> TuningComparison? {
      guard tried.insert(plan).inserted else { return nil }
      let request = TuningRequest(
        subject, plan: plan.parameters, checks: true, seconds: seconds)
      guard case .times(let times) = try measure(request, plan, progress) else { return nil }
      return times
    }
    if let known = remembered(subject), let times = try times(known) {
      race.enterRemembered(known, times)
    }
    for round in 0..<TuningCandidates.rounds {
      for plan in candidates.round(round, best: race.leader?.plan ?? formula) {
        if let times = try times(plan) { race.enter(plan, times) }
      }
    }
    return race
  }

  /// What was chosen for the shape's class before.
  private func remembered(_ subject: TuningSubject) -> TunedPlan? {
    guard let choice = database.entries[key(subject)]?.choice,
      let plan = TunedPlan(choice, of: subject.operation),
      plan.computes(subject, isCPUClass: backend.isCPUClass, limits: backend.limits)
    else { return nil }
    return plan
  }

  private enum Outcome {
    case times(TuningComparison)
    case refused(String)
  }

  /// Hands a request to the worker; a refusal is counted and told.
  private func measure(
    _ request: TuningRequest, _ plan: TunedPlan?, _ progress: ProgressLine
  ) throws(End) -> Outcome {
    let left = seconds(until: deadline)
    // The first request for a shape starts the device and compiles its kernels.
    let patience = request.plan == nil && request.fault == nil ? 4 * patience : patience
    guard left > 0, !stop.isRequested else { throw .budget }
    let answer: WorkerProcess.Answer
    do {
      answer = try worker.answer(
        to: request, seconds: min(left, patience), unless: { stop.isRequested })
    } catch {
      answer = .died("\(error)")
    }
    let reason: String
    switch answer {
    case .reply(let reply):
      guard let refusal = reply.refusal else {
        if isVerbose, let plan, let times = reply.times {
          tell(request.subject, plan, times, progress)
        }
        return .times(reply.times ?? TuningComparison([]))
      }
      reason = "is wrong: \(refusal)"
    case .died(let how): reason = "crashes: \(how)"
    case .stopped:
      if stop.isRequested || left <= patience { throw .budget }
      reason = "does not answer in \(patience) s"
    }
    refused += 1
    let name = plan.map { "\($0)" } ?? "a planted candidate"
    progress.print("\(request.subject): refused: \(name) \(reason)")
    return .refused(reason)
  }

  /// One candidate's times, for who wants to see them all.
  private func tell(
    _ subject: TuningSubject, _ plan: TunedPlan, _ times: TuningComparison, _ progress: ProgressLine
  ) {
    progress.print(
      "\(subject): \((100 * times.ratio).fixed(1)) +- \((100 * times.spread).fixed(1)) % of the "
        + "default's \((times.defaultNanoseconds * 1e-6).fixed(4)) ms in \(times.samples) pairs: "
        + "\(plan)")
  }

  private func entry(
    _ subject: TuningSubject, _ plan: TunedPlan?, _ times: TuningComparison
  ) -> TuningDatabase.Entry {
    if plan != nil { tuned += 1 } else { kept += 1 }
    return TuningDatabase.Entry(
      key: key(subject), subject: subject, choice: plan?.parameters,
      nanoseconds: times.nanoseconds,
      defaultNanoseconds: times.defaultNanoseconds, spread: times.spread, samples: times.samples,
      date: Date().ISO8601Format(), keel: BuildDescription.current.keel)
  }

  private func text(_ entry: TuningDatabase.Entry) -> String {
    func milliseconds(_ nanoseconds: Double) -> String { (nanoseconds * 1e-6).fixed(3) + " ms" }
    guard let choice = entry.choice,
      let plan = TunedPlan(choice, of: entry.subject.operation)
    else {
      return "\(milliseconds(entry.defaultNanoseconds)), the default stays"
    }
    let gain = 100 * (1 - entry.nanoseconds / entry.defaultNanoseconds)
    return "\(milliseconds(entry.nanoseconds)), \(gain.fixed(0)) % less than the default's "
      + "\(milliseconds(entry.defaultNanoseconds)): \(plan)"
  }

  private func seconds(until instant: ContinuousClock.Instant) -> Double {
    let parts = (instant - clock.now).components
    return Double(parts.seconds) + Double(parts.attoseconds) * 1e-18
  }
}
